import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSession;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;

/** Asks a server over TLS: `java Https STEP URL CA [CERTIFICATE KEY]`. Prints what it finds. */
public class Https {
    static final char[] NO_PASSWORD = new char[0];

    public static void main(String[] arguments) throws Exception {
        SSLContext context = context(Arrays.copyOfRange(arguments, 2, arguments.length));
        URI uri = URI.create(arguments[1]);
        switch (arguments[0]) {
            case "client" -> client(context, uri);
            case "connection" -> connection(context, uri);
            case "resume" -> resume(context, uri);
        }
    }

    static Certificate certificate(String path) throws Exception {
        try (InputStream file = Files.newInputStream(Path.of(path))) {
            return CertificateFactory.getInstance("X.509").generateCertificate(file);
        }
    }

    static PrivateKey key(String path) throws Exception {
        String text = Files.readString(Path.of(path)).replaceAll("-----[A-Z ]+-----|\\s", "");
        byte[] octets = Base64.getDecoder().decode(text);
        return KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(octets));
    }

    /** Trusts the first file, and shows the certificate of the second one, if there is one. */
    static SSLContext context(String[] files) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        trusted.setCertificateEntry("ca", certificate(files[0]));
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        KeyStore own = KeyStore.getInstance("PKCS12");
        own.load(null, null);
        if (files.length > 1) {
            Certificate[] chain = {certificate(files[1])};
            own.setKeyEntry("me", key(files[2]), NO_PASSWORD, chain);
        }
        keys.init(own, NO_PASSWORD);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    /** java.net.http, which offers h2 first. */
    static void client(SSLContext context, URI uri) throws Exception {
        HttpClient client = HttpClient.newBuilder().sslContext(context).build();
        HttpRequest page = HttpRequest.newBuilder(uri).build();
        HttpResponse<String> first = null;
        for (int i = 0; i < 20; i++) {
            first = client.send(page, HttpResponse.BodyHandlers.ofString());
        }
        System.out.println(first.version() + " " + first.statusCode() + " " + first.body().trim());
        HttpRequest large = HttpRequest.newBuilder(uri.resolve("/large")).build();
        System.out.println(client.send(large, HttpResponse.BodyHandlers.ofByteArray()).body().length);
        byte[] content = new byte[2_000_000];
        for (int i = 0; i < content.length; i++) {
            content[i] = (byte) (i * 31 + i / 251);
        }
        // With a length, by chunks, and after 100 Continue.
        for (HttpRequest.BodyPublisher publisher : new HttpRequest.BodyPublisher[] {
            HttpRequest.BodyPublishers.ofByteArray(content),
            HttpRequest.BodyPublishers.fromPublisher(HttpRequest.BodyPublishers.ofByteArray(content)),
        }) {
            for (boolean expects : new boolean[] {false, true}) {
                HttpRequest upload = HttpRequest.newBuilder(uri.resolve("/cat"))
                    .POST(publisher).expectContinue(expects).build();
                byte[] back = client.send(upload, HttpResponse.BodyHandlers.ofByteArray()).body();
                System.out.println(Arrays.equals(content, back));
            }
        }
        // Many at once.
        CompletableFuture<?>[] all = IntStream.range(0, 20)
            .mapToObj(i -> client.sendAsync(large, HttpResponse.BodyHandlers.ofByteArray())
                .thenAccept(response -> {
                    if (response.body().length != 3_000_000) {
                        throw new IllegalStateException(response.toString());
                    }
                }))
            .toArray(CompletableFuture[]::new);
        CompletableFuture.allOf(all).join();
    }

    /** The older client of the JDK. */
    static void connection(SSLContext context, URI uri) throws Exception {
        // It keeps connections by the factory that has made them.
        SSLSocketFactory factory = context.getSocketFactory();
        for (int i = 0; i < 20; i++) {
            HttpsURLConnection connection = (HttpsURLConnection) uri.toURL().openConnection();
            connection.setSSLSocketFactory(factory);
            String text;
            try (InputStream stream = connection.getInputStream()) {
                text = new String(stream.readAllBytes(), StandardCharsets.UTF_8);
            }
            if (i == 0) {
                System.out.println(connection.getResponseCode() + " " + text.trim());
            }
        }
    }

    /** Sockets, one after the other, in either version: what a session was given it has when it is resumed. */
    static void resume(SSLContext context, URI uri) throws Exception {
        for (String version : new String[] {"TLSv1.2", "TLSv1.3"}) {
            int resumed = 0;
            for (int i = 0; i < 6; i++) {
                try (SSLSocket socket = (SSLSocket) context.getSocketFactory()
                        .createSocket(uri.getHost(), uri.getPort())) {
                    socket.setEnabledProtocols(new String[] {version});
                    SSLSession session = socket.getSession();
                    OutputStream out = socket.getOutputStream();
                    out.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                        .getBytes(StandardCharsets.US_ASCII));
                    String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
                    if (!answer.endsWith("hello\n")) {
                        throw new IllegalStateException(answer);
                    }
                    resumed += session.getValue("seen") == null ? 0 : 1;
                    session.putValue("seen", true);
                }
            }
            System.out.println(version + " " + resumed);
        }
    }
}
