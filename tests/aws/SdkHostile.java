// What sdk.py has Java do with the client of an API whose names are code.

import com.example.pets.Pets;
import com.example.pets.model.*;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;

public final class SdkHostile {
    public static void main(String[] words) {
        String name = "%22%5D%5D%3B%20globalThis.evil%20%3D%201%3B%20%2F%2F%E2%80%A8%2A%2F%20%3C%2Fscript%3E%20"
            + "%24%7BglobalThis.evil%20%3D%201%7D%60%20%5C";
        Pets client = Pets.builder().build();
        GlobalThisevil1scriptglobalThisevil1Request request = new GlobalThisevil1scriptglobalThisevil1Request()
            .globalThisEvil1ScriptGlobalThisEvil1(URLDecoder.decode(name, StandardCharsets.UTF_8));
        String told = client.globalThisevil1scriptglobalThisevil1(request).body();
        if (!told.contains("\"path\": \"/pets?" + name + "=" + name + "\"")) {
            throw new AssertionError(told);
        }
        client.then(new ThenRequest());
        client.__proto__(new __proto__Request());
    }
}
