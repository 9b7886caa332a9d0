package PACKAGE.model;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/** Sends requests; for the client of this package, and for nobody else. */
public final class Transport {
    private static final Pattern VARIABLE = Pattern.compile("\\{([^{}+]*)(\\+?)\\}");
    private static final Pattern DOTS = Pattern.compile("(^|/)\\.\\.?(/|$)");

    /** What a client was built with. */
    public static final class Settings {
        public String endpoint;
        public String region;
        public String apiKey;
        public String accessKey;
        public String secretKey;
        public String sessionToken;
        public Duration timeout = Duration.ofSeconds(30);

        public Settings(String endpoint, String region) {
            this.endpoint = endpoint;
            this.region = region;
        }
    }

    private final Settings settings;
    private final String base;
    private final HttpClient client;

    public Transport(Settings settings) {
        this.settings = settings;
        base = settings.endpoint == null ? "" : settings.endpoint.replaceAll("/+$", "");
        if (!base.matches("https?://[^/?#]+[^?#]*")) {
            throw new IllegalArgumentException(
                "endpoint must be the URL of the stage, like https://api.example.com/prod, and is: " + base);
        }
        client = HttpClient.newBuilder()
            .version(HttpClient.Version.HTTP_1_1)
            // Keys and headers are for the endpoint alone.
            .followRedirects(HttpClient.Redirect.NEVER)
            .connectTimeout(settings.timeout)
            .build();
    }

    public HttpResponse<byte[]> send(SdkRequest<?> request) {
        for (String name : request.required) {
            boolean given = request.ofPath.containsKey(name) || request.ofQuery.containsKey(name)
                || request.ofHeaders.containsKey(name);
            if (!given) {
                throw new IllegalArgumentException(name + " must be defined");
            }
        }
        URI uri = URI.create(base + path(request) + query(request));
        // Names of headers are the same in any case.
        Map<String, String> headers = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
        headers.put("Accept", "application/json");
        if (request.content != null && request.contentType != null) {
            headers.put("Content-Type", request.contentType);
        }
        headers.putAll(request.ofHeaders);
        if (settings.apiKey != null) {
            headers.put("x-api-key", settings.apiKey);
        }
        headers.putAll(request.config.headers);
        byte[] content = request.content == null ? new byte[0] : request.content;
        if (settings.accessKey != null && settings.secretKey != null && !headers.containsKey("Authorization")) {
            sign(request.verb, uri, headers, content);
        }
        HttpRequest.BodyPublisher body = request.content == null
            ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(content);
        HttpRequest.Builder builder = HttpRequest.newBuilder(uri).timeout(settings.timeout).method(request.verb, body);
        headers.forEach(builder::header);
        return answer(builder.build());
    }

    private HttpResponse<byte[]> answer(HttpRequest request) {
        HttpResponse<byte[]> response;
        try {
            response = client.send(request, HttpResponse.BodyHandlers.ofByteArray());
        } catch (IOException error) {
            throw new SERVICEException("No answer: " + error, error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new SERVICEException("Interrupted", error);
        }
        if (response.statusCode() / 100 != 2) {
            throw new SERVICEException(response);
        }
        return response;
    }

    /** {name} holds one segment, {name+} several. */
    private static String path(SdkRequest<?> request) {
        Matcher matcher = VARIABLE.matcher(request.template);
        StringBuilder path = new StringBuilder();
        while (matcher.find()) {
            String value = request.ofPath.getOrDefault(matcher.group(1), "");
            String encoded = matcher.group(2).isEmpty() ? encoded(value) : segments(value);
            matcher.appendReplacement(path, Matcher.quoteReplacement(encoded));
        }
        matcher.appendTail(path);
        if (DOTS.matcher(path).find()) {
            throw new IllegalArgumentException("a segment of a path cannot be . or ..: " + path);
        }
        return path.toString();
    }

    private static String query(SdkRequest<?> request) {
        Map<String, String> query = new LinkedHashMap<>(request.ofQuery);
        query.putAll(request.config.queryParams);
        String text = query.entrySet().stream()
            .map(pair -> encoded(pair.getKey()) + "=" + encoded(pair.getValue()))
            .collect(Collectors.joining("&"));
        return text.isEmpty() ? "" : "?" + text;
    }

    private static String segments(String path) {
        return Arrays.stream(path.split("/", -1)).map(Transport::encoded).collect(Collectors.joining("/"));
    }

    /** All but unreserved characters percent-encoded (RFC 3986). */
    private static String encoded(String text) {
        StringBuilder encoded = new StringBuilder();
        for (byte value : text.getBytes(StandardCharsets.UTF_8)) {
            char c = (char) (value & 0xff);
            boolean plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || "-._~".indexOf(c) >= 0;
            encoded.append(plain ? String.valueOf(c) : String.format("%%%02X", (int) c));
        }
        return encoded.toString();
    }

    /** Signature Version 4, service execute-api: adds X-Amz-Date, X-Amz-Security-Token and Authorization. */
    private void sign(String verb, URI uri, Map<String, String> headers, byte[] content) {
        String stamp = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC).format(Instant.now());
        headers.put("X-Amz-Date", stamp);
        if (settings.sessionToken != null) {
            headers.put("X-Amz-Security-Token", settings.sessionToken);
        }
        Map<String, String> signed = new TreeMap<>();
        boolean usual = uri.getPort() == -1 || uri.getPort() == (uri.getScheme().equals("http") ? 80 : 443);
        signed.put("host", usual ? uri.getHost() : uri.getHost() + ":" + uri.getPort());
        headers.forEach((name, value) -> {
            String key = name.toLowerCase(java.util.Locale.ROOT);
            if (key.equals("content-type") || key.startsWith("x-amz-")) {
                signed.put(key, value.trim().replaceAll("\\s+", " "));
            }
        });
        Map<String, String> query = new TreeMap<>();
        if (uri.getRawQuery() != null) {
            for (String pair : uri.getRawQuery().split("&")) {
                query.put(pair.substring(0, pair.indexOf('=')), pair);
            }
        }
        String fields = signed.entrySet().stream()
            .map(field -> field.getKey() + ":" + field.getValue() + "\n").collect(Collectors.joining());
        String names = String.join(";", signed.keySet());
        String canonical = String.join("\n", verb, segments(uri.getRawPath()), String.join("&", query.values()), fields,
            names, hex(digest(content)));
        String day = stamp.substring(0, 8);
        String scope = day + "/" + settings.region + "/execute-api/aws4_request";
        byte[] key = ("AWS4" + settings.secretKey).getBytes(StandardCharsets.UTF_8);
        for (String part : scope.split("/")) {
            key = hmac(key, part);
        }
        String text = String.join("\n", "AWS4-HMAC-SHA256", stamp, scope,
            hex(digest(canonical.getBytes(StandardCharsets.UTF_8))));
        headers.put("Authorization", "AWS4-HMAC-SHA256 Credential=" + settings.accessKey + "/" + scope
            + ", SignedHeaders=" + names + ", Signature=" + hex(hmac(key, text)));
    }

    private static byte[] digest(byte[] content) {
        try {
            return MessageDigest.getInstance("SHA-256").digest(content);
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static byte[] hmac(byte[] key, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key, "HmacSHA256"));
            return mac.doFinal(text.getBytes(StandardCharsets.UTF_8));
        } catch (GeneralSecurityException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String hex(byte[] bytes) {
        StringBuilder hex = new StringBuilder();
        for (byte value : bytes) {
            hex.append(String.format("%02x", value));
        }
        return hex.toString();
    }
}
