// Leads to the node what would miss it: clients that do not read AWS_ENDPOINT_URL, and answers of custom resources that
// are sent by TLS to port 443 whatever their URL says (as AWS's published `cfn-response` does, which people copy).

import { createRequire, syncBuiltinESMExports } from "node:module";
import { urlToHttpOptions } from "node:url";

const require = createRequire(import.meta.url);
const has = (value, name) => value !== null && typeof value === "object" && Object.hasOwn(value, name);
const ANSWERS = "/cloudformation-answers-";

/** Point the SDKs and HTTPS requests of this process at `address`, the node's URL. */
export function leadTo(address) {
  const endpoint = new URL(address);
  leadSdk2(endpoint);
  if (endpoint.protocol === "http:") leadAnswers(endpoint);
}

function leadAnswers(endpoint) {
  const http = require("node:http");
  const https = require("node:https");
  const port = endpoint.port || "80";
  const throughTls = https.request;
  https.request = (...values) => {
    const [first, second] = values;
    const isUrl = typeof first === "string" || first instanceof URL;
    const given = isUrl ? { ...urlToHttpOptions(new URL(first)), ...(typeof second === "object" ? second : {}) } : first;
    const host = String(given?.hostname ?? given?.host ?? "");
    const isOurs = host === endpoint.hostname && (String(given.port) === port || String(given.path).startsWith(ANSWERS));
    if (!isOurs) return throughTls(...values);
    const { agent, ...options } = given;
    return http.request({ ...options, hostname: host, protocol: "http:", port }, values.find((value) => typeof value === "function"));
  };
  // What has imported `request` by name sees it too.
  syncBuiltinESMExports();
}

/** Version 2 of the SDK for JavaScript, which Lambda's runtimes up to Node.js 16 bring, takes its endpoint only from code. */
function leadSdk2(endpoint) {
  const Module = require("node:module");
  const load = Module._load;
  Module._load = function (name, ...rest) {
    const loaded = load.call(this, name, ...rest);
    // Its modules load each other in circles: what is not there yet must not be asked for, or Node.js warns.
    const mayBe = typeof name === "string" && (name.includes("aws-sdk") || name.endsWith("/core"));
    if (mayBe && has(loaded, "VERSION") && has(loaded, "config") && loaded.VERSION.startsWith("2.")) {
      const { config } = loaded;
      if (config.endpoint === undefined) config.update({ endpoint: endpoint.origin, s3ForcePathStyle: true });
    }
    return loaded;
  };
}
