package PACKAGE.model;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What one call says: its parameters, its body, and what the API does not list. */
public abstract class SdkRequest<R extends SdkRequest<R>> {
    final String verb;
    final String template;
    final List<String> required;
    final Map<String, String> ofPath = new LinkedHashMap<>();
    final Map<String, String> ofQuery = new LinkedHashMap<>();
    final Map<String, String> ofHeaders = new LinkedHashMap<>();
    byte[] content;
    String contentType;
    SdkRequestConfig config = SdkRequestConfig.builder().build();

    protected SdkRequest(String verb, String template, String... required) {
        this.verb = verb;
        this.template = template;
        this.required = List.of(required);
    }

    /** A body of JSON. */
    public final R body(String json) {
        return body(json == null ? null : json.getBytes(StandardCharsets.UTF_8), "application/json");
    }

    public final R body(byte[] bytes, String contentType) {
        this.content = bytes == null ? null : bytes.clone();
        this.contentType = contentType;
        return self();
    }

    public final R sdkRequestConfig(SdkRequestConfig config) {
        this.config = config;
        return self();
    }

    protected final R put(Map<String, String> place, String name, String value) {
        if (value == null) {
            place.remove(name);
        } else {
            place.put(name, value);
        }
        return self();
    }

    @SuppressWarnings("unchecked")
    private R self() {
        return (R) this;
    }
}
