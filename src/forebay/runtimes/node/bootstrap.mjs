// Becomes a Node.js function: loads the handler, polls the Lambda Runtime API and formats logs and errors as Lambda's
// Node.js runtimes do. docs/decisions/0002-node-runtime-client.md says why this is not AWS's own client.

import * as http from "node:http";
import * as fs from "node:fs";
import * as path from "node:path";
import * as util from "node:util";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { PassThrough } from "node:stream";

const env = process.env;
const taskRoot = env.LAMBDA_TASK_ROOT;
const [apiHost, apiPort] = env.AWS_LAMBDA_RUNTIME_API.split(":");
const sharedModules = process.argv[2];
const jsonLogs = env.AWS_LAMBDA_LOG_FORMAT === "JSON";
const telemetryFd = env._LAMBDA_TELEMETRY_LOG_FD ? Number(env._LAMBDA_TELEMETRY_LOG_FD) : 0;
delete env._LAMBDA_TELEMETRY_LOG_FD;
const API = "/2018-06-01/runtime";
const HANDLER_STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");
const HANDLER_HIGHWATERMARK = Symbol.for("aws.lambda.runtime.handler.streaming.highWaterMark");
const HTTP_STREAM_TYPE = "application/vnd.awslambda.http-integration-response";

let requestId;

// --- Errors, in the runtimes' words ---------------------------------------------------------------------------------

class RuntimeError extends Error {
  constructor(type, message, cause) {
    super(message);
    this.name = type;
    this.errorType = type;
    if (cause?.stack) this.stack = `${type}: ${message}\n${cause.stack.split("\n").slice(1).join("\n")}`;
  }
}

const isErrorLike = (value) =>
  value instanceof Error || (value && typeof value === "object" && "name" in value && "message" in value && "stack" in value);

/** What the caller of the function gets. */
function errorDocument(error) {
  if (isErrorLike(error)) {
    return { errorType: String(error.name), errorMessage: String(error.message), trace: String(error.stack ?? "").split("\n") };
  }
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

/** What the log gets: the same with the error's own properties. */
function errorForLog(error) {
  if (!isErrorLike(error)) return { errorType: typeof error, errorMessage: String(error), stack: [] };
  const { name, message, stack, cause, ...own } = { ...error, name: error.name, message: error.message, stack: error.stack, cause: error.cause };
  const document = { errorType: name ?? "UnknownError", errorMessage: message, ...own, stack: String(stack ?? "").split("\n") };
  if (cause !== undefined) document.cause = isErrorLike(cause) ? errorForLog(cause) : cause;
  return document;
}

// --- Logs -----------------------------------------------------------------------------------------------------------

const LEVELS = { TRACE: 0x04, DEBUG: 0x08, INFO: 0x0c, WARN: 0x10, ERROR: 0x14, FATAL: 0x18 };
const leastLevel = LEVELS[(env.AWS_LAMBDA_LOG_LEVEL ?? "").toUpperCase()] ?? 0;

function writeAll(fd, buffer) {
  for (let offset = 0; offset < buffer.length; ) {
    try {
      offset += fs.writeSync(fd, buffer, offset);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error; // the node reads slowly on purpose: try until there is room
    }
  }
}

/** Write one log event: framed, so that its lines stay together, or as a line. */
function writeEvent(level, text) {
  if (!telemetryFd) {
    writeAll(1, Buffer.from(text.replaceAll("\n", "\r") + "\n"));
    return;
  }
  const message = Buffer.from(text);
  const header = Buffer.alloc(16);
  header.writeUInt32BE((0xa55a0000 | LEVELS[level] | (jsonLogs ? 2 : 3)) >>> 0, 0);
  header.writeUInt32BE(message.length, 4);
  header.writeBigInt64BE(BigInt(Date.now()) * 1000n, 8);
  writeAll(telemetryFd, Buffer.concat([header, message]));
}

function log(level, format, ...values) {
  if (LEVELS[level] < leastLevel) return;
  const timestamp = new Date().toISOString();
  if (!jsonLogs) {
    writeEvent(level, `${timestamp}\t${requestId}\t${level}\t${util.format(format, ...values)}`);
    return;
  }
  const error = [format, ...values].find((value) => value instanceof Error);
  const only = values.length === 0 && typeof format === "object" && !(format instanceof Error) ? format : undefined;
  const record = { timestamp, level, requestId, message: only ?? util.format(format, ...values) };
  if (error) Object.assign(record, errorForLog(error));
  let text;
  try {
    text = JSON.stringify(record);
  } catch {
    text = JSON.stringify({ ...record, message: util.format(format, ...values) }); // a cycle, or a BigInt
  }
  writeEvent(level, text);
}

function patchConsole() {
  for (const [name, level] of [["log", "INFO"], ["info", "INFO"], ["debug", "DEBUG"], ["warn", "WARN"], ["error", "ERROR"], ["trace", "TRACE"]]) {
    console[name] = (...values) => log(level, ...values);
  }
  console.fatal = (...values) => log("FATAL", ...values);
}

const logError = (title, error) => (jsonLogs ? log("ERROR", error) : log("ERROR", `${title} \t${JSON.stringify(errorForLog(error))}`));

// --- The Runtime API ------------------------------------------------------------------------------------------------

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function request(method, route, headers = {}, body) {
  return new Promise((resolve, reject) => {
    const options = { host: apiHost, port: apiPort, method, path: API + route, agent, headers };
    const outgoing = http.request(options, (response) => {
      const chunks = [];
      response.on("data", (chunk) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
      response.on("error", reject);
    });
    outgoing.on("error", reject);
    outgoing.setNoDelay(true);
    body === undefined ? outgoing.end() : outgoing.end(body);
  });
}

const postError = (route, error) => {
  const body = Buffer.from(JSON.stringify(errorDocument(error)));
  const type = String(error?.name ?? typeof error).replace(/[^\x21-\x7e]/g, "?");
  return request("POST", route, { "Content-Type": "application/json", "Content-Length": body.length, "Lambda-Runtime-Function-Error-Type": type }, body);
};

// --- Finding the handler --------------------------------------------------------------------------------------------

/** Let `import` find what `require` finds in layers and in the SDK that the node offers: ES modules ignore NODE_PATH. */
async function searchNodePathForImports() {
  if (!env.NODE_PATH) return;
  const { register, registerHooks } = await import("node:module");
  if (registerHooks) registerHooks((await import("./resolve.mjs")).syncHooks);
  else register("./resolve.mjs", import.meta.url);
}

function parseHandler(text) {
  const base = path.basename(text);
  const match = /^([^.]*)\.(.+)$/.exec(base);
  if (!match) throw new RuntimeError("Runtime.MalformedHandlerName", "Bad handler");
  return { folder: text.slice(0, text.length - base.length), module: match[1], route: match[2] };
}

function findModule({ folder, module }) {
  const stem = path.resolve(taskRoot, folder, module);
  // Lambda's order: the name as it is, .js, .mjs, .cjs, then whatever `require` makes of it.
  for (const file of [stem, `${stem}.js`, `${stem}.mjs`, `${stem}.cjs`]) {
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  return createRequire(path.join(taskRoot, "/")).resolve(stem);
}

async function loadModule(handler) {
  try {
    const file = findModule(handler);
    if (file.endsWith(".mjs")) return await import(pathToFileURL(file).href);
    if (file.endsWith(".cjs")) return createRequire(file)(file);
    if (isModuleFolder(path.dirname(file))) return await import(pathToFileURL(file).href);
    return createRequire(file)(file);
  } catch (error) {
    if (error instanceof SyntaxError) throw new RuntimeError("Runtime.UserCodeSyntaxError", `SyntaxError: ${error.message}`, error);
    if (["MODULE_NOT_FOUND", "ERR_MODULE_NOT_FOUND"].includes(error?.code)) {
      throw new RuntimeError("Runtime.ImportModuleError", `Error: ${error.message}${sdkHint(error.message)}`, error);
    }
    throw error;
  }
}

/** Lambda brings the AWS SDK along; say what to do where this machine has none. */
function sdkHint(message) {
  const missing = /'(@aws-sdk\/[^'/]+|@smithy\/[^'/]+|aws-sdk)/.exec(message)?.[1];
  if (!missing) return "";
  return `\nLambda's Node.js runtimes include this package, this machine does not: bundle ${missing} with the function, or install it in ${sharedModules}.`;
}

function isModuleFolder(folder) {
  for (let current = folder; ; current = path.dirname(current)) {
    try {
      return JSON.parse(fs.readFileSync(path.join(current, "package.json"), "utf8")).type === "module";
    } catch (error) {
      if (error.code !== "ENOENT" && error.code !== "ENOTDIR") return false;
    }
    if (path.basename(current) === "node_modules" || current === path.dirname(current)) return false;
  }
}

async function loadHandler(text) {
  if (text.includes("..")) throw new RuntimeError("Runtime.MalformedHandlerName", `'${text}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  const parsed = parseHandler(text);
  const loaded = await loadModule(parsed);
  const find = (root) => parsed.route.split(".").reduce((value, name) => value?.[name], root);
  const handler = find(loaded) ?? find(loaded?.default);
  if (handler === undefined) throw new RuntimeError("Runtime.HandlerNotFound", `${text} is undefined or not exported`);
  if (typeof handler !== "function") throw new RuntimeError("Runtime.HandlerNotFound", `${text} is not a function`);
  return handler;
}

// --- Running an event -----------------------------------------------------------------------------------------------

function makeContext(headers) {
  const deadline = Number(headers["lambda-runtime-deadline-ms"]);
  const parse = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: parse("lambda-runtime-client-context"),
    identity: parse("lambda-runtime-cognito-identity"),
    invokedFunctionArn: headers["lambda-runtime-invoked-function-arn"],
    awsRequestId: headers["lambda-runtime-aws-request-id"],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

let emptyLoop; // what to do when nothing is left to wait for
process.on("beforeExit", () => {
  const act = emptyLoop;
  emptyLoop = undefined;
  act?.();
});

/** Run a handler; resolves with its result however it is given: promise, callback, or context method. */
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    // A callback's result waits until nothing is left to do, unless the function says otherwise.
    const settle = (error, result) => {
      const act = () => (error === undefined || error === null ? resolve(result) : reject(error));
      if (context.callbackWaitsForEmptyEventLoop) emptyLoop = act;
      else setImmediate(act);
    };
    const callback = (error, result) => settle(error, result);
    context.done = (error, result) => { context.callbackWaitsForEmptyEventLoop = false; settle(error, result); };
    context.succeed = (result) => context.done(null, result);
    context.fail = (error) => context.done(error ?? "handled");
    // A handler that neither returns a promise nor calls back ends with null when nothing is left to do.
    emptyLoop = () => resolve(null);
    const returned = handler(event, context, callback);
    if (typeof returned?.then === "function") returned.then(resolve, reject);
  });
}

async function runBuffered(handler, event, context) {
  const result = await run(handler, event, context);
  let body;
  try {
    body = Buffer.from(JSON.stringify(result === undefined ? null : result) ?? "null");
  } catch (error) {
    throw new RuntimeError("Runtime.MarshalError", `Unable to stringify response body as json: ${error.message}`, error);
  }
  const answer = await request("POST", `/invocation/${requestId}/response`, { "Content-Type": "application/json", "Content-Length": body.length }, body);
  if (answer.status === 413) log("ERROR", "Response payload size exceeded maximum allowed payload size.");
}

async function runStreaming(handler, event, context) {
  const stream = new PassThrough({ highWaterMark: handler[HANDLER_HIGHWATERMARK] });
  stream.setContentType = (type) => { stream.contentType = type; };
  let answered;
  // Headers go out with the first byte, so a failure before it is still an ordinary error.
  const begin = () => {
    answered ??= new Promise((resolve, reject) => {
      const headers = { "Content-Type": stream.contentType ?? "application/octet-stream", "Lambda-Runtime-Function-Response-Mode": "streaming", Trailer: "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body", "Transfer-Encoding": "chunked" };
      const outgoing = http.request({ host: apiHost, port: apiPort, method: "POST", path: `${API}/invocation/${requestId}/response`, agent, headers }, (response) => {
        response.resume();
        response.on("end", resolve);
      });
      outgoing.on("error", reject);
      stream.outgoing = outgoing;
      stream.pipe(outgoing, { end: false });
    });
  };
  stream.once("pipe", begin);
  const write = stream.write.bind(stream);
  stream.write = (...values) => (begin(), write(...values));
  const ended = new Promise((resolve) => stream.once("end", resolve));
  const finish = stream.end.bind(stream);
  stream.end = (...values) => (begin(), finish(...values));
  try {
    await handler(event, stream, context);
    if (!stream.writableEnded) throw new RuntimeError("Runtime.StreamError", "The handler returned without ending its response stream.");
    await ended;
    stream.outgoing.end();
  } catch (error) {
    if (!answered) throw error;
    const document = errorDocument(error);
    logError("Invoke Error", error);
    stream.unpipe();
    stream.outgoing.addTrailers({
      "Lambda-Runtime-Function-Error-Type": document.errorType.replace(/[^\x21-\x7e]/g, "?"),
      "Lambda-Runtime-Function-Error-Body": Buffer.from(JSON.stringify(document)).toString("base64"),
    });
    stream.outgoing.end();
  }
  await answered;
}

globalThis.awslambda = {
  streamifyResponse: (handler, options) => {
    handler[HANDLER_STREAMING] = "response";
    if (options?.highWaterMark) handler[HANDLER_HIGHWATERMARK] = parseInt(options.highWaterMark);
    return handler;
  },
  HttpResponseStream: {
    from: (stream, prelude) => {
      stream.setContentType(HTTP_STREAM_TYPE);
      stream.write(JSON.stringify(prelude));
      stream.write(Buffer.alloc(8));
      return stream;
    },
  },
};

async function serveOne(handler) {
  const next = await request("GET", "/invocation/next");
  if (next.status !== 200) throw new Error(`Failed to get next invocation: HTTP status ${next.status}`);
  requestId = next.headers["lambda-runtime-aws-request-id"];
  if (next.headers["lambda-runtime-trace-id"]) env._X_AMZN_TRACE_ID = next.headers["lambda-runtime-trace-id"];
  else delete env._X_AMZN_TRACE_ID;
  try {
    const event = JSON.parse(next.body.toString("utf8"));
    const context = makeContext(next.headers);
    if (handler[HANDLER_STREAMING]) await runStreaming(handler, event, context);
    else await runBuffered(handler, event, context);
  } catch (error) {
    logError("Invoke Error", error);
    await postError(`/invocation/${requestId}/error`, error);
  } finally {
    emptyLoop = undefined;
  }
}

/** End as the runtimes do on what no handler caught: report it for the event under way, then exit with 128 + code. */
function dieOf(error, title, status) {
  logError(title, error);
  const route = requestId ? `/invocation/${requestId}/error` : "/init/error";
  postError(route, error).finally(() => process.exit(status));
}

async function main() {
  patchConsole();
  process.on("uncaughtException", (error) => dieOf(error, "Uncaught Exception", 129));
  process.on("unhandledRejection", (reason) => {
    const error = new RuntimeError("Runtime.UnhandledPromiseRejection", isErrorLike(reason) ? `${reason.name}: ${reason.message}` : String(reason), reason);
    error.reason = reason;
    dieOf(error, "Unhandled Promise Rejection", 128);
  });
  let handler;
  try {
    if (env.AWS_ENDPOINT_URL) (await import("./endpoint.mjs")).leadTo(env.AWS_ENDPOINT_URL);
    await searchNodePathForImports();
    handler = await loadHandler(env._HANDLER);
  } catch (error) {
    dieOf(error, "Uncaught Exception", 1);
    return;
  }
  for (;;) await serveOne(handler);
}

await main();
