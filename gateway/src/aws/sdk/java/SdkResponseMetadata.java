package PACKAGE.model;

import java.net.http.HttpHeaders;
import java.util.List;
import java.util.Optional;

/** Status and headers of an answer. */
public final class SdkResponseMetadata {
    private final int status;
    private final HttpHeaders headers;

    SdkResponseMetadata(int status, HttpHeaders headers) {
        this.status = status;
        this.headers = headers;
    }

    public int httpStatusCode() {
        return status;
    }

    /** The first header of that name, in any case. */
    public Optional<String> header(String name) {
        return headers.firstValue(name);
    }

    public List<String> allHeaders(String name) {
        return headers.allValues(name);
    }

    public Optional<String> requestId() {
        return header("x-amzn-RequestId");
    }
}
