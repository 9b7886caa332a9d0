package PACKAGE.model;

import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;

/** An answer with another status than 2xx, or none at all. */
public class SERVICEException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient HttpResponse<byte[]> response;

    SERVICEException(String message, Throwable cause) {
        super(message, cause);
        response = null;
    }

    SERVICEException(HttpResponse<byte[]> response) {
        super("Request failed with status code " + response.statusCode());
        this.response = response;
    }

    /** 0 if there was no answer. */
    public int statusCode() {
        return response == null ? 0 : response.statusCode();
    }

    /** Null if there was no answer. */
    public SdkResponseMetadata sdkHttpMetadata() {
        return response == null ? null : new SdkResponseMetadata(response.statusCode(), response.headers());
    }

    /** The body as text of UTF-8. */
    public String body() {
        return response == null ? "" : new String(response.body(), StandardCharsets.UTF_8);
    }
}
