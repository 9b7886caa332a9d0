// What sdk.py has Java do with a generated client: java SdkCheck PART WORDS...

import com.example.pets.Pets;
import com.example.pets.model.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.function.Supplier;

public final class SdkCheck {
    public static void main(String[] words) {
        if (words[0].equals("calls")) {
            calls(words[1]);
        } else if (words[0].equals("redirects")) {
            redirects(words[1], words[2], words[3], words[4]);
        } else {
            signs(words[1], words[2], words[3], words[4]);
        }
    }

    private static void calls(String key) {
        Pets client = Pets.builder().build();
        GetPetsPetIdRequest get = new GetPetsPetIdRequest().petId("a/b é").kind("big & small").xTrace("t1");
        String told = client.getPetsPetId(get).body();
        holds(told, "\"path\": \"/pets/a%2Fb%20%C3%A9?kind=big%20%26%20small\"");
        holds(told, "\"x-trace\": \"t1\"");
        holds(told, "\"accept\": \"application/json\"");
        fails(() -> client.getPetsPetId(new GetPetsPetIdRequest().petId("1")), "kind must be defined");
        fails(() -> client.getPetsPetId(get.kind(null)), "kind must be defined");
        fails(() -> client.deletePetsPetId(new DeletePetsPetIdRequest().petId("..")), "cannot be . or ..");
        holds(client.getApiRoot(new GetApiRootRequest()).body(), "\"path\": \"/root\"");
        told = client.createPet(new CreatePetRequest().body("{\"a\": \"é\"}")).body();
        holds(told, "\\u00e9");
        holds(told, "\"content-type\": \"application/json\"");
        told = client.putFilesProxy(new PutFilesProxyRequest().proxy("a/b c/d")).body();
        holds(told, "\"method\": \"PUT\", \"path\": \"/files/a/b%20c/d\"");
        PetsException error = (PetsException) fails(() -> client.getFail(new GetFailRequest()), "status code 418");
        check(error.statusCode() == 418 && error.body().contains("/fail"), error.body());
        check(error.sdkHttpMetadata().header("X-Pet").orElse("").equals("cat"), "a header of the answer");
        error = (PetsException) fails(() -> client.getKeyed(new GetKeyedRequest()), "status code 403");
        holds(error.body(), "Forbidden");
        Pets keyed = Pets.builder().apiKey(key).timeout(Duration.ofSeconds(20)).build();
        holds(keyed.getKeyed(new GetKeyedRequest()).body(), "\"path\": \"/keyed\"");
        fails(() -> Pets.builder().endpoint("file:///etc").build(), "endpoint must be the URL");
        Pets away = Pets.builder().endpoint("http://127.0.0.1:1/x").build();
        error = (PetsException) fails(() -> away.getApiRoot(new GetApiRootRequest()), "No answer");
        check(error.statusCode() == 0, "nobody answered");
    }

    private static void signs(String backend, String key, String secret, String token) {
        Pets client = Pets.builder().endpoint(backend).iamCredentials(key, secret).iamRegion("eu-central-1").build();
        SdkRequestConfig more = SdkRequestConfig.builder().customHeader("X-Amz-Meta", "a   b")
            .customQueryParam("kind-a", "~").customQueryParam("é", "(*)!'").customQueryParam("B", "x=y&z").build();
        GetPetsPetIdRequest get = new GetPetsPetIdRequest().petId("a/b é:~").kind("1 +2").limit("").sdkRequestConfig(more);
        GetPetsPetIdResult result = client.getPetsPetId(get);
        holds(result.body(), "\"signed\": true");
        check(result.sdkResponseMetadata().httpStatusCode() == 200, "200");
        check(result.bytes().length > 0, "bytes");
        holds(client.createPet(new CreatePetRequest().body("{\"a\": \"é\"}")).body(), "\"signed\": true");
        byte[] bytes = "x".getBytes(StandardCharsets.UTF_8);
        holds(client.createPet(new CreatePetRequest().body(bytes, "text/plain")).body(), "\"signed\": true");
        Pets tokened = Pets.builder().endpoint(backend + "/x/y%20z/").iamCredentials(key, secret, token).build();
        String told = tokened.getApiRoot(new GetApiRootRequest()).body();
        holds(told, "\"signed\": true");
        holds(told, "\"x-amz-security-token\": \"" + token);
        Pets other = Pets.builder().endpoint(backend).iamCredentials(key, "other").build();
        holds(other.getApiRoot(new GetApiRootRequest()).body(), "\"signed\": false");
        SdkRequestConfig own = SdkRequestConfig.builder().customHeader("authorization", "Bearer x").build();
        holds(client.getApiRoot(new GetApiRootRequest().sdkRequestConfig(own)).body(), "\"signed\": null");
        client.shutdown();
    }

    /** The host that they lead to must see nothing. */
    private static void redirects(String backend, String key, String secret, String token) {
        Pets keyed = Pets.builder().endpoint(backend).apiKey("secret").build();
        Pets signed = Pets.builder().endpoint(backend).iamCredentials(key, secret, token).build();
        Pets plain = Pets.builder().endpoint(backend).build();
        for (Pets client : new Pets[] {keyed, signed, plain}) {
            PetsException error = (PetsException) fails(() -> client.getMoved(new GetMovedRequest()), "status code 307");
            String place = error.sdkHttpMetadata().header("Location").orElse("");
            check(place.endsWith("/stolen"), "Location: " + place);
        }
    }

    private static void holds(String text, String part) {
        check(text.contains(part), part + " is not in " + text);
    }

    private static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static RuntimeException fails(Supplier<Object> run, String message) {
        Object answer;
        try {
            answer = run.get();
        } catch (RuntimeException error) {
            check(error.getMessage().contains(message), error.toString());
            return error;
        }
        throw new AssertionError("not refused: " + answer);
    }
}
