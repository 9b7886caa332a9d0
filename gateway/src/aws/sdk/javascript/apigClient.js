// Client of one stage of a REST API. It needs no other file: a page loads it with <script src="apigClient.js"></script>
// and finds `apigClientFactory`; node (20 or newer) does require("./apigClient"). README.md beside it lists the methods.
(function (root) {
  "use strict";

  var STAGE = /*{stage}*/;

  // Name, HTTP method, path, and the names of the parameters of the query and the headers; then those of all, the path's
  // too, that no call may leave out.
  var METHODS = [
/*{methods}*/
  ];

  var apigClientFactory = {
    // config: accessKey, secretKey, sessionToken (requests are signed if there are keys), region, apiKey,
    // defaultContentType, defaultAcceptType, endpoint (the URL of the stage, with its path). All may be left out.
    newClient: function (config) {
      var settings = settled(config || {});
      var client = {};
      METHODS.forEach(function (row) {
        var method = { verb: row[1], path: row[2], query: row[3], headers: row[4], required: row[5] };
        client[row[0]] = function (params, body, additionalParams) {
          var request = build(settings, method, params, body, additionalParams || {});
          return send(settings, request);
        };
      });
      return client;
    }
  };

  function settled(config) {
    var endpoint = new RegExp("^https?://[^/?#]+[^?#]*$", "i");
    var base = String(config.endpoint || STAGE.invokeUrl).replace(/\/+$/, "");
    if (!endpoint.test(base)) {
      throw new Error("endpoint must be the URL of the stage, like https://api.example.com/prod, and is: " + base);
    }
    function or(value, usual) {
      return value === undefined ? usual : value;
    }
    return {
      base: base,
      keys: config.accessKey && config.secretKey ? {
        accessKey: config.accessKey,
        secretKey: config.secretKey,
        sessionToken: config.sessionToken,
        region: config.region || STAGE.region
      } : null,
      apiKey: config.apiKey,
      contentType: or(config.defaultContentType, "application/json"),
      accept: or(config.defaultAcceptType, "application/json")
    };
  }

  // What a call says, as one HTTP request. Throws at once if it cannot be one.
  function build(settings, method, params, body, additional) {
    var given = own(params);
    method.required.forEach(function (name) {
      if (given(name) === undefined) {
        throw new Error(name + " must be defined");
      }
    });
    var query = [];
    method.query.forEach(function (name) {
      add(query, name, given(name), false);
    });
    each(additional.queryParams, function (name, value) {
      add(query, name, value, false);
    });
    var headers = [];
    method.headers.forEach(function (name) {
      add(headers, name, given(name), true);
    });
    if (settings.apiKey) {
      add(headers, "x-api-key", settings.apiKey, true);
    }
    each(additional.headers, function (name, value) {
      add(headers, name, value, true);
    });
    if (field(headers, "accept") === undefined && settings.accept) {
      add(headers, "Accept", settings.accept, true);
    }
    var pairs = query.map(function (pair) {
      return encoded(pair[0]) + "=" + encoded(pair[1]);
    });
    var url = settings.base + expanded(method.path, given) + (pairs.length ? "?" + pairs.join("&") : "");
    // GET and HEAD have no body, whatever is given: many callers pass {}.
    var content = method.verb === "GET" || method.verb === "HEAD" ? undefined : written(body);
    if (content === undefined) {
      headers = headers.filter(function (pair) {
        return pair[0].toLowerCase() !== "content-type";
      });
    } else if (typeof content === "string" && field(headers, "content-type") === undefined) {
      add(headers, "Content-Type", settings.contentType, true);
    }
    return {
      method: method.verb, url: url, headers: headers, body: content, responseType: additional.responseType
    };
  }

  // The value of a name in an object, if the object itself has one.
  function own(object) {
    return function (name) {
      var has = object !== undefined && object !== null && Object.prototype.hasOwnProperty.call(object, name);
      return has && object[name] !== null ? object[name] : undefined;
    };
  }

  function each(object, act) {
    var given = own(object);
    Object.keys(object || {}).forEach(function (name) {
      act(name, given(name));
    });
  }

  // One of that name: the last that is given. Names of headers are the same in any case.
  function add(pairs, name, value, anyCase) {
    if (value === undefined) {
      return;
    }
    var key = anyCase ? name.toLowerCase() : name;
    for (var i = pairs.length - 1; i >= 0; i -= 1) {
      if ((anyCase ? pairs[i][0].toLowerCase() : pairs[i][0]) === key) {
        pairs.splice(i, 1);
      }
    }
    pairs.push([name, String(value)]);
  }

  function field(headers, name) {
    var found = headers.filter(function (pair) {
      return pair[0].toLowerCase() === name;
    });
    return found.length ? found[0][1] : undefined;
  }

  function encoded(text) {
    return encodeURIComponent(text).replace(/[!'()*]/g, function (c) {
      return "%" + c.charCodeAt(0).toString(16).toUpperCase();
    });
  }

  // {name} holds one segment, {name+} several.
  function expanded(template, given) {
    var path = template.replace(/\{([^{}+]*)(\+?)\}/g, function (_, name, greedy) {
      var value = given(name);
      var text = value === undefined ? "" : String(value);
      return greedy ? text.split("/").map(encoded).join("/") : encoded(text);
    });
    // Whoever takes a URL apart takes these out, and asks for another path.
    if (/(^|\/)\.\.?(\/|$)/.test(path)) {
      throw new Error("a segment of a path cannot be . or ..: " + path);
    }
    return path;
  }

  // The body as what is sent; undefined if there is none. Text and bytes stay what they are, an object without members
  // is none.
  function written(body) {
    if (body === undefined || body === null || body === "") {
      return undefined;
    }
    if (typeof body !== "object") {
      return String(body);
    }
    // Node's Buffer has a toJSON, too.
    if (root.ArrayBuffer.isView(body)) {
      return body;
    }
    var plain = Array.isArray(body) || Object.getPrototypeOf(body) === null || typeof body.toJSON === "function" ||
      Object.prototype.toString.call(body) === "[object Object]";
    if (!plain) {
      return body;
    }
    return Object.keys(body).length || typeof body.toJSON === "function" ? JSON.stringify(body) : undefined;
  }

  async function send(settings, request) {
    var init = { method: request.method, headers: request.headers, body: request.body };
    if (settings.keys && field(request.headers, "authorization") === undefined) {
      if (request.body !== undefined && typeof request.body !== "string") {
        // Forms and blobs: the bytes that are signed are those that are sent.
        var carrier = new root.Response(request.body);
        init.body = await carrier.arrayBuffer();
        var type = carrier.headers.get("content-type");
        if (type && field(request.headers, "content-type") === undefined) {
          add(request.headers, "Content-Type", type, true);
        }
      }
      await sign(request, init.body, settings.keys, new Date());
    }
    // fetch would take all headers but Authorization along to whatever host a redirect names.
    init.redirect = request.headers.every(isForAnybody) ? "follow" : "manual";
    var response = await root.fetch(request.url, init);
    var headers = {};
    response.headers.forEach(function (value, name) {
      headers[name] = value;
    });
    var answer = {
      status: response.status,
      statusText: response.statusText,
      headers: headers,
      data: await content(response, request.responseType)
    };
    if (response.ok) {
      return answer;
    }
    // A page is not told more of it.
    var hidden = response.type === "opaqueredirect";
    var error = new Error(hidden ? "A redirect is not followed by a request with keys or headers" :
      "Request failed with status code " + response.status);
    throw Object.assign(error, answer, { response: answer });
  }

  function isForAnybody(pair) {
    return ["accept", "content-type"].indexOf(pair[0].toLowerCase()) >= 0;
  }

  // Text is what is JSON in it, or else itself.
  async function content(response, kind) {
    if (kind === "arraybuffer") {
      return response.arrayBuffer();
    }
    if (kind === "blob") {
      return response.blob();
    }
    return kind === "text" ? response.text() : read(await response.text());
  }

  function read(text) {
    try {
      return JSON.parse(text);
    } catch (_) {
      return text;
    }
  }

  // Signature Version 4, service execute-api: adds x-amz-date, x-amz-security-token and Authorization.
  async function sign(request, body, keys, date) {
    var stamp = date.toISOString().replace(/[:-]|\.\d{3}/g, "");
    var day = stamp.slice(0, 8);
    add(request.headers, "x-amz-date", stamp, true);
    if (keys.sessionToken) {
      add(request.headers, "x-amz-security-token", keys.sessionToken, true);
    }
    var url = new root.URL(request.url);
    var signed = [["host", url.host]].concat(request.headers.map(function (pair) {
      return [pair[0].toLowerCase(), pair[1].trim().replace(/\s+/g, " ")];
    }).filter(function (pair) {
      return pair[0] === "content-type" || pair[0].indexOf("x-amz-") === 0;
    })).sort(byCode);
    var names = signed.map(function (pair) {
      return pair[0];
    }).join(";");
    var canonical = [
      request.method,
      url.pathname.split("/").map(encoded).join("/"),
      url.search.slice(1).split("&").map(function (pair) {
        return pair.split("=");
      }).sort(byCode).map(function (pair) {
        return pair.join("=");
      }).join("&"),
      signed.map(function (pair) {
        return pair[0] + ":" + pair[1] + "\n";
      }).join(""),
      names,
      hex(await digest(body === undefined ? "" : body))
    ].join("\n");
    var scope = [day, keys.region, "execute-api", "aws4_request"];
    var key = bytes("AWS4" + keys.secretKey);
    for (var i = 0; i < scope.length; i += 1) {
      key = await hmac(key, scope[i]);
    }
    var text = ["AWS4-HMAC-SHA256", stamp, scope.join("/"), hex(await digest(canonical))].join("\n");
    add(request.headers, "Authorization", "AWS4-HMAC-SHA256 Credential=" + keys.accessKey + "/" + scope.join("/") +
      ", SignedHeaders=" + names + ", Signature=" + hex(await hmac(key, text)), true);
  }

  // Of two pairs; no two have the same name.
  function byCode(a, b) {
    return a[0] < b[0] ? -1 : 1;
  }

  function bytes(content) {
    return typeof content === "string" ? new root.TextEncoder().encode(content) : content;
  }

  function subtle() {
    if (!root.crypto || !root.crypto.subtle) {
      throw new Error("signing needs WebCrypto: a page on https or localhost, or node 20");
    }
    return root.crypto.subtle;
  }

  function digest(content) {
    return subtle().digest("SHA-256", bytes(content));
  }

  async function hmac(key, text) {
    var algorithm = { name: "HMAC", hash: "SHA-256" };
    var imported = await subtle().importKey("raw", key, algorithm, false, ["sign"]);
    return subtle().sign("HMAC", imported, bytes(text));
  }

  function hex(buffer) {
    return Array.from(new Uint8Array(buffer), function (byte) {
      return byte.toString(16).padStart(2, "0");
    }).join("");
  }

  if (typeof module === "object" && module.exports) {
    module.exports = apigClientFactory;
    module.exports.apigClientFactory = apigClientFactory;
    module.exports.default = apigClientFactory;
  } else {
    root.apigClientFactory = apigClientFactory;
  }
})(typeof globalThis === "object" ? globalThis : self);
