// What sdk.py has node do with a generated client: node sdk.js PART FOLDER JSON.
"use strict";
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const vm = require("node:vm");

const [part, folder, json] = process.argv.slice(2);
const told = JSON.parse(json);
const file = path.join(folder, "apigClient.js");
const factory = require(file);

const refused = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  assert.fail("not refused");
};

const parts = {
  async calls() {
    const client = factory.newClient();
    assert.deepEqual(Object.keys(client).sort(), [
      "createPet", "failGet", "filesProxyDelete", "filesProxyGet", "filesProxyHead", "filesProxyOptions",
      "filesProxyPatch", "filesProxyPost", "filesProxyPut", "keyedGet", "movedGet", "petsPetIdDelete", "petsPetIdGet", "rootGet"
    ]);

    const params = { petId: "a/b é", kind: "big & small", "X-Trace": "t1", unknown: "left out" };
    const more = { headers: { "X-More": "m" }, queryParams: { extra: "1'2" } };
    let result = await client.petsPetIdGet(params, {}, more);
    assert.deepEqual([result.status, result.statusText, result.headers["x-pet"]], [200, "OK", "cat"]);
    assert.equal(result.data.path, "/pets/a%2Fb%20%C3%A9?kind=big%20%26%20small&extra=1%272");
    let headers = result.data.headers;
    assert.deepEqual([headers["x-trace"], headers["x-more"], headers.accept], ["t1", "m", "application/json"]);
    assert.deepEqual([result.data.body, headers["content-type"]], ["", undefined]);

    assert.throws(() => client.petsPetIdGet({ petId: "1" }), /^Error: kind must be defined$/);
    assert.throws(() => client.petsPetIdGet(), /petId must be defined/);
    assert.throws(() => client.petsPetIdDelete({ petId: ".." }), /cannot be \. or \.\./);
    assert.equal((await client.rootGet()).data.path, "/root");

    result = await client.createPet({}, { name: "é", tags: [1] });
    assert.deepEqual(JSON.parse(result.data.body), { name: "é", tags: [1] });
    assert.equal(result.data.headers["content-type"], "application/json");
    result = await client.createPet({}, "a,b", { headers: { "content-type": "text/csv" } });
    assert.deepEqual([result.data.body, result.data.headers["content-type"]], ["a,b", "text/csv"]);
    result = await client.createPet({}, {});
    assert.deepEqual([result.data.body, result.data.headers["content-type"]], ["", undefined]);
    result = await client.createPet({}, new TextEncoder().encode("bytes"));
    assert.equal(result.data.body, "bytes");
    result = await factory.newClient({ defaultContentType: "text/a", defaultAcceptType: "text/b" }).createPet({}, "x");
    headers = result.data.headers;
    assert.deepEqual([headers["content-type"], headers.accept], ["text/a", "text/b"]);

    result = await client.filesProxyPut({ proxy: "a/b c/d" }, "x");
    assert.deepEqual([result.data.method, result.data.path], ["PUT", "/files/a/b%20c/d"]);
    assert.equal((await client.filesProxyHead({ proxy: "a" })).data, "");

    let error = await refused(client.failGet());
    assert.ok(error instanceof Error);
    assert.deepEqual([error.status, error.headers["x-pet"], error.data.path], [418, "cat", "/fail"]);
    assert.equal(error.response.status, 418);

    error = await refused(client.keyedGet());
    assert.deepEqual([error.status, error.data.message], [403, "Forbidden"]);
    assert.equal((await factory.newClient({ apiKey: told.key }).keyedGet()).status, 200);

    const bytes = Buffer.from("bytes é");
    for (const body of [bytes, new Uint8Array(bytes)]) {
      const { data } = await client.createPet({}, body, { headers: { "Content-Type": "text/plain" } });
      assert.equal(data.body, "bytes é");
    }
    const { data } = await client.rootGet({}, {}, { responseType: "arraybuffer" });
    assert.equal(JSON.parse(Buffer.from(data).toString()).path, "/root");

    const away = factory.newClient({ endpoint: "http://127.0.0.1:1/x" });
    assert.ok((await refused(away.rootGet())) instanceof TypeError);
    for (const endpoint of ["javascript:x", "file:///etc", "//host", "http://a?b"]) {
      assert.throws(() => factory.newClient({ endpoint }), /endpoint must be the URL/);
    }
  },

  // A page has no modules: the script leaves its factory in the global object.
  async page() {
    const page = vm.createContext({ fetch, URL, Response, TextEncoder, crypto });
    vm.runInContext(fs.readFileSync(file, "utf8"), page);
    const result = await vm.runInContext("apigClientFactory.newClient().rootGet({}, {}, {})", page);
    assert.equal(result.data.path, "/root");

    // What browsers tell of a redirect that is not followed.
    page.fetch = async (_, { redirect }) => {
      assert.equal(redirect, "manual");
      return { type: "opaqueredirect", status: 0, statusText: "", ok: false, headers: new Headers(), text: async () => "" };
    };
    const error = await refused(vm.runInContext("apigClientFactory.newClient({ apiKey: 'k' }).movedGet()", page));
    assert.deepEqual([error.status, error.message], [0, "A redirect is not followed by a request with keys or headers"]);
  },

  // The other host must see the last request only.
  async redirects() {
    const { accessKey, secretKey, sessionToken, backend } = told;
    const withKeys = { accessKey, secretKey, sessionToken };
    for (const endpoint of [backend, undefined]) {
      for (const keys of [{ apiKey: "secret" }, withKeys, { ...withKeys, apiKey: "secret" }]) {
        const error = await refused(factory.newClient({ ...keys, endpoint }).movedGet());
        assert.deepEqual([error.status, error.message], [307, "Request failed with status code 307"]);
        assert.match(error.headers.location, /^http:\/\/localhost:\d+\/stolen$/);
      }
    }
    const client = factory.newClient({ endpoint: backend });
    assert.equal((await refused(client.movedGet({ "X-Trace": "t" }))).status, 307);
    const more = { headers: { "X-Own-Secret": "s" } };
    assert.equal((await refused(client.movedGet({}, {}, more))).status, 307);
    assert.equal((await client.movedGet()).status, 200);
  },

  async signs() {
    const { accessKey, secretKey, sessionToken, backend } = told;
    const config = { accessKey, secretKey, region: "eu-central-1", endpoint: backend };
    const signed = async (client, method, ...rest) => {
      const { data } = await client[method](...rest);
      assert.equal(data.signed, true, `${method} ${JSON.stringify(data)}`);
      return data;
    };
    const client = factory.newClient(config);
    await signed(client, "rootGet");
    const more = { headers: { "X-Amz-Meta": "  a   b " }, queryParams: { "kind-a": "~", "é": "(*)!'", a: "", B: "x=y&z" } };
    await signed(client, "petsPetIdGet", { petId: "a/b é:~", kind: "1 +2", limit: "x" }, {}, more);
    await signed(client, "createPet", {}, { name: "é" });
    await signed(client, "createPet", {}, "text", { headers: { "Content-Type": "text/plain; charset=utf-8" } });
    await signed(client, "createPet", {}, new Blob(["bytes"], { type: "a/b" }));
    const form = new FormData();
    form.append("name", "cat");
    const data = await signed(client, "createPet", {}, form);
    assert.match(data.headers["content-type"], /^multipart\/form-data; boundary=/);
    await signed(client, "filesProxyPatch", { proxy: "a/b c" }, [1]);
    const below = await signed(factory.newClient({ ...config, endpoint: `${backend}/x/y%20z/` }), "rootGet");
    assert.equal(below.path, "/x/y%20z/");
    const withToken = await signed(factory.newClient({ ...config, sessionToken }), "rootGet");
    assert.equal(withToken.headers["x-amz-security-token"], sessionToken);

    // Another secret is noticed by the backend; who says it with another Authorization is not overridden.
    const other = await factory.newClient({ ...config, secretKey: "other" }).rootGet();
    assert.equal(other.data.signed, false);
    const own = await client.rootGet({}, {}, { headers: { authorization: "Bearer x" } });
    assert.deepEqual([own.data.signed, own.data.headers.authorization], [null, "Bearer x"]);
    const unsigned = await factory.newClient({ endpoint: backend }).rootGet();
    assert.equal(unsigned.data.signed, null);

    // Through the gateway, where nobody asks for it.
    assert.equal((await factory.newClient({ accessKey, secretKey }).rootGet()).status, 200);
  },

  async hostile() {
    const client = factory.newClient();
    const names = Object.keys(client);
    assert.deepEqual(names.slice(1).sort(), ["proto", "then_0"]);
    assert.match(names[0], /^[A-Za-z][A-Za-z0-9]*$/);
    const result = await client[names[0]]({ [told.evil]: "x", constructor: "c" });
    assert.equal(result.data.headers.constructor, "c");
    assert.equal(new URLSearchParams(result.data.path.split("?")[1]).get(told.evil), "x");
    assert.equal(result.data.path.includes("__proto__"), false);
    assert.equal((await client.proto()).status, 200);
    assert.equal(globalThis.evil, undefined);
    assert.equal({}.evil, undefined);
  }
};

parts[part]();
