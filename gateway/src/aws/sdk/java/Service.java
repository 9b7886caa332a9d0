package PACKAGE;

/** Client of one stage of a REST API: README.md lists its methods. */
public final class SERVICE {
    private final PACKAGE.model.Transport transport;

    SERVICE(PACKAGE.model.Transport transport) {
        this.transport = transport;
    }

    public static SERVICEClientBuilder builder() {
        return new SERVICEClientBuilder();
    }

    /** Nothing has to be closed: connections end when they are idle. */
    public void shutdown() {}
METHODS}
