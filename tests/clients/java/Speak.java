// Java's own client, which offers an upgrade to HTTP/2 with its first request.
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

public class Speak {
    public static void main(String[] arguments) throws Exception {
        String body = "{\"model\": \"tts-1\", \"voice\": \"alloy\", \"input\": \"Hello there.\"}";
        HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/v1/audio/speech"))
            .header("Content-Type", "application/json")
            .POST(HttpRequest.BodyPublishers.ofString(body))
            .build();
        HttpResponse<byte[]> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());
        if (response.statusCode() != 200 || response.body().length < 2000) {
            throw new AssertionError(response.statusCode() + " " + new String(response.body()));
        }
    }
}
