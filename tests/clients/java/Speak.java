// Java's own client, which offers an upgrade to HTTP/2 with its first request; a body with its length, and in chunks.
import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.List;

public class Speak {
    public static void main(String[] arguments) throws Exception {
        String body = "{\"model\": \"tts-1\", \"voice\": \"alloy\", \"input\": \"Hello there.\"}";
        List<HttpRequest.BodyPublisher> publishers = List.of(
            HttpRequest.BodyPublishers.ofString(body),
            HttpRequest.BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body.getBytes())));
        for (HttpRequest.BodyPublisher publisher : publishers) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(arguments[0] + "/v1/audio/speech"))
                .header("Content-Type", "application/json")
                .POST(publisher)
                .build();
            HttpResponse<byte[]> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());
            if (response.statusCode() != 200 || response.body().length < 2000) {
                throw new AssertionError(response.statusCode() + " " + new String(response.body()));
            }
        }
    }
}
