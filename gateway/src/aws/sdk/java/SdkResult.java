package PACKAGE.model;

import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

/** An answer with a status of 2xx. */
public abstract class SdkResult {
    private final HttpResponse<byte[]> response;

    protected SdkResult(HttpResponse<byte[]> response) {
        this.response = response;
    }

    public final SdkResponseMetadata sdkResponseMetadata() {
        return new SdkResponseMetadata(response.statusCode(), response.headers());
    }

    /** The body as text of UTF-8. */
    public final String body() {
        return new String(response.body(), StandardCharsets.UTF_8);
    }

    public final byte[] bytes() {
        return response.body().clone();
    }
}
