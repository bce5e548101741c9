/* Upload URL SIZE...: posts bodies of so many bytes with Negotiate, and prints the answers. */
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;

public class Upload {
    public static void main(String[] words) {
        for (int number = 1; number < words.length; number++)
            System.out.println(answer(words[0], new byte[Integer.parseInt(words[number])]));
    }

    static String answer(String url, byte[] body) {
        try {
            var connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
            connection.setDoOutput(true);
            connection.getOutputStream().write(body);
            try (InputStream answer = connection.getInputStream()) {
                return new String(answer.readAllBytes());
            }
        } catch (Exception problem) {
            return problem.toString();
        }
    }
}
