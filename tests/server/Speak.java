import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.io.ByteArrayInputStream;

/** Sends a JSON body as Java's client does by default, with its length and in chunks; prints what comes back. */
class Speak {
    public static void main(String[] arguments) throws Exception {
        var client = HttpClient.newHttpClient();
        var body = arguments[1];
        var publishers = new HttpRequest.BodyPublisher[] {
            BodyPublishers.ofString(body),
            BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body.getBytes())),
        };
        for (var publisher : publishers) {
            var request = HttpRequest.newBuilder(URI.create(arguments[0]))
                .header("Content-Type", "application/json").POST(publisher).build();
            var answer = client.send(request, BodyHandlers.ofByteArray());
            System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.body().length);
        }
    }
}
