package PACKAGE.model;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/** Headers and query parameters of a call that the API does not list. */
public final class SdkRequestConfig {
    final Map<String, String> headers;
    final Map<String, String> queryParams;

    private SdkRequestConfig(Builder builder) {
        headers = Collections.unmodifiableMap(new LinkedHashMap<>(builder.headers));
        queryParams = Collections.unmodifiableMap(new LinkedHashMap<>(builder.queryParams));
    }

    public static Builder builder() {
        return new Builder();
    }

    public static final class Builder {
        private final Map<String, String> headers = new LinkedHashMap<>();
        private final Map<String, String> queryParams = new LinkedHashMap<>();

        private Builder() {}

        public Builder customHeader(String name, String value) {
            headers.put(name, value);
            return this;
        }

        public Builder customQueryParam(String name, String value) {
            queryParams.put(name, value);
            return this;
        }

        public SdkRequestConfig build() {
            return new SdkRequestConfig(this);
        }
    }
}
