package PACKAGE;

import PACKAGE.model.Transport;
import java.time.Duration;

/** Makes a client. All that it takes may be left out. */
public final class SERVICEClientBuilder {
    private final Transport.Settings settings = new Transport.Settings(INVOKE_URL, REGION);

    SERVICEClientBuilder() {}

    /** The URL of the stage, with its path. */
    public SERVICEClientBuilder endpoint(String url) {
        settings.endpoint = url;
        return this;
    }

    public SERVICEClientBuilder apiKey(String key) {
        settings.apiKey = key;
        return this;
    }

    /** Requests are signed with Signature Version 4. */
    public SERVICEClientBuilder iamCredentials(String accessKey, String secretKey) {
        return iamCredentials(accessKey, secretKey, null);
    }

    public SERVICEClientBuilder iamCredentials(String accessKey, String secretKey, String sessionToken) {
        settings.accessKey = accessKey;
        settings.secretKey = secretKey;
        settings.sessionToken = sessionToken;
        return this;
    }

    /** Of the signature; the stage's by default. */
    public SERVICEClientBuilder iamRegion(String region) {
        settings.region = region;
        return this;
    }

    /** Of one request with its answer's head; 30 s by default. */
    public SERVICEClientBuilder timeout(Duration timeout) {
        settings.timeout = timeout;
        return this;
    }

    public SERVICE build() {
        return new SERVICE(new Transport(settings));
    }
}
