// SPDX-License-Identifier: Apache-2.0
// The connection to an engine: the protos, one question and its answer, patience, and errors as sentences.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const PROTOS = ["effect", "job", "media"].map((name) => `immersivaudio/v1/${name}.proto`);
const READ = { includeDirs: [join(HERE, "../../protos")], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
const v1 = grpc.loadPackageDefinition(loadSync(PROTOS, READ)).immersivaudio.v1;
const ERRORS = loadSync(join(HERE, "errors.proto"), { json: true, keepCase: true });
const { UNAVAILABLE, ABORTED, OUT_OF_RANGE } = grpc.status;
const PASSING = [UNAVAILABLE, ABORTED, OUT_OF_RANGE]; // away; still holding the upload that broke; still writing its end
const CHANNEL = {
  "grpc.max_receive_message_length": 128 << 20, // a long timeline's job carries its whole cue sheet
  "grpc.initial_reconnect_backoff_ms": 100, // grpc-js waits a second before it connects again
  "grpc.enable_http_proxy": 0,
};

/** The services of the engine at `address`; `ca` (a PEM file) turns TLS on and says whom to trust. */
export function connect(address, { token = "", ca } = {}) {
  const trust = ca ? grpc.credentials.createSsl(readFileSync(ca)) : grpc.credentials.createInsecure();
  const metadata = new grpc.Metadata();
  if (token) metadata.set("authorization", `Bearer ${token}`);
  const service = (kind) => new v1[kind](address, trust, CHANNEL);
  const engine = { effects: service("EffectService"), jobs: service("JobService"), media: service("MediaService"), metadata };
  return { ...engine, close: () => [engine.effects, engine.jobs, engine.media].forEach((client) => client.close()) };
}

/** One question, one answer, within 30 seconds: `ask(engine, "jobs", "GetJob", { job_id })`. */
export function ask(engine, service, method, request) {
  const { promise, ended } = answered();
  engine[service][method](request, engine.metadata, { deadline: Date.now() + 30_000 }, ended);
  return promise;
}

/** A promise, and the callback that settles it. */
export function answered() {
  let ended;
  const promise = new Promise((resolve, reject) => {
    ended = (error, response) => (error ? reject(error) : resolve(response));
  });
  promise.catch(() => {}); // nobody may be waiting yet when a stream breaks; who waits later still hears of it
  return { promise, ended };
}

/** Do `step` again while the engine is away. `step` calls its argument whenever it gets on: patience starts anew. */
export async function patiently(step) {
  for (let tries = 0; ; ) {
    try {
      return await step(() => { tries = 0; });
    } catch (error) {
      if (!PASSING.includes(error.code) || ++tries > 8) throw error;
      await sleep(Math.min(2000, 100 * 2 ** tries) * (0.5 + Math.random() / 2));
    }
  }
}

/** An error of any kind as words for a person, with the engine's own hint where it sent one. */
export function sentence(error) {
  const [packed] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!packed && error.code === UNAVAILABLE) return "The engine cannot be reached. Start one with: immersivaudio serve";
  if (!packed) return error.details || error.message;
  const { message, details } = ERRORS["google.rpc.Status"].deserialize(packed);
  const fields = details.flatMap((detail) => detail.field_violations ?? []);
  const wrong = fields.map(({ field, description }) => `${field}: ${description}`).join("; ");
  return [wrong ? `${wrong}.` : message, ...details.map((detail) => detail.metadata?.hint ?? "")].join(" ").trim();
}
