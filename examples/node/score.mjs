// SPDX-License-Identifier: Apache-2.0
// Score a clip: node score.mjs CLIP FOLDER [--engine HOST:PORT] [--set density=0.8] ... The guide is docs/grpc.md.
// Every step is a function, in the order in which an editor goes through them.
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, join, parse } from "node:path";
import { parseArgs } from "node:util";
import { answered, ask, connect, patiently, sentence } from "./engine.mjs";

const CHUNK_BYTES = 1 << 20;
const OPTIONS = {
  engine: { type: "string", default: process.env.IMMERSIVAUDIO_ENGINE || "127.0.0.1:50505" },
  token: { type: "string", default: process.env.IMMERSIVAUDIO_TOKEN },
  ca: { type: "string" },
  effect: { type: "string", default: "soundtrack" },
  set: { type: "string", multiple: true, default: [] },
  output: { type: "string", multiple: true, default: ["audio", "stems", "otio"] },
  "request-id": { type: "string", default: randomUUID() }, // the same id again is the same job, not a second one
};

async function handshake(engine) {
  const host = { host_name: "score.mjs", host_version: "1", protocols: ["v1"], capabilities: [] };
  const told = await ask(engine, "effects", "Handshake", host);
  console.log(`engine ${told.engine_version}; performs: ${told.performers.join(", ")}`);
}

/** Tells what the effect can be asked; the words `name=value` as the params that a job takes. */
async function describe(engine, effect_id, given) {
  const { effects } = await ask(engine, "effects", "ListEffects", {});
  console.log("effects:", effects.map((effect) => effect.effect_id).join(", "));
  const { params } = await ask(engine, "effects", "DescribeEffect", { effect_id });
  for (const { name, default_value: it, hint } of params) console.log(`  ${name}=${it?.[it.value] ?? ""}  ${hint}`);
  return Object.fromEntries(given.map((pair) => {
    const [name, ...rest] = pair.split("=");
    return [name, valueOf(params.find((param) => param.name === name)?.type, rest.join("="))];
  }));
}

/** A word in the type that the effect declares; the engine refuses what does not fit. */
function valueOf(type, word) {
  if (type === "PARAM_TYPE_DOUBLE") return { number: Number(word) };
  if (type === "PARAM_TYPE_INTEGER") return { integer: Number(word) };
  if (type === "PARAM_TYPE_BOOLEAN") return { flag: word === "true" };
  return { text: word };
}

/** The digest under which the engine holds the file; only what it lacks is sent. */
async function upload(engine, path) {
  const hash = createHash("sha256");
  for await (const data of createReadStream(path)) hash.update(data);
  const digest = { sha256: hash.digest("hex"), size_bytes: (await stat(path)).size };
  const { missing } = await patiently(() => ask(engine, "media", "FindMissingBlobs", { digests: [digest] }));
  let held = 0;
  if (missing.length) await patiently(async (gotOn) => {
    const { committed_bytes, complete } = await ask(engine, "media", "QueryWriteStatus", { digest });
    if (committed_bytes > held) gotOn();
    held = committed_bytes;
    if (!complete) await send(engine, path, digest, held);
  });
  else console.log("upload: the engine has it already");
  return digest;
}

async function send(engine, path, digest, start) {
  console.log(`upload: from byte ${start} of ${digest.size_bytes}`);
  const { promise: answer, ended } = answered();
  const call = engine.media.WriteBlob(engine.metadata, ended);
  let offset_bytes = start;
  for await (const data of createReadStream(path, { start, highWaterMark: CHUNK_BYTES })) {
    const room = call.write({ digest, offset_bytes, data });
    if (!room) await Promise.race([once(call, "drain"), answer]);
    offset_bytes += data.length;
  }
  call.end();
  await answer;
}

/** Follows the job to its end; a stream that breaks is opened again after the last event that came. */
async function watch(engine, job_id) {
  let after_sequence = 0;
  await patiently(async (gotOn) => {
    for await (const { event } of engine.jobs.WatchJob({ job_id, after_sequence }, engine.metadata)) {
      after_sequence = event.sequence;
      gotOn();
      const { event: kind, progress } = event;
      if (kind === "progress") console.log(`${Math.round(100 * progress.job_fraction)} %`, progress.message);
      if (kind === "state" || kind === "warning") console.log(event[kind]);
    }
  });
  const { job } = await patiently(() => ask(engine, "jobs", "GetJob", { job_id }));
  if (job.error) throw new Error(`${job.error.message} ${job.error.hint}`);
  if (job.state !== "JOB_STATE_SUCCEEDED") throw new Error("The job was stopped.");
  return job.result.artefacts;
}

/** The file has its name only once its bytes are those that were announced. */
async function download(engine, { name, digest }, folder) {
  const path = join(folder, basename(name));
  const file = await open(`${path}.partial`, "w");
  try {
    const hash = createHash("sha256");
    let offset_bytes = 0;
    await patiently(async (gotOn) => {
      for await (const { data } of engine.media.ReadBlob({ digest, offset_bytes }, engine.metadata)) {
        await file.appendFile(data);
        hash.update(data);
        offset_bytes += data.length;
        gotOn();
      }
    });
    if (hash.digest("hex") !== digest.sha256) throw new Error(`${name} arrived damaged. Fetch it again.`);
    await rename(`${path}.partial`, path);
    console.log("got", path);
  } finally {
    await file.close();
    await rm(`${path}.partial`, { force: true });
  }
}

async function score(engine, clip, folder, options) {
  await handshake(engine);
  const params = await describe(engine, options.effect, options.set);
  const source = { media: { blob: await upload(engine, clip) }, name: parse(clip).name };
  const effect = { effect_id: options.effect, params };
  const spec = { source, effect, goal: "GOAL_DELIVER", delivery: { outputs: options.output } };
  const { job } = await patiently(() => ask(engine, "jobs", "CreateJob", { request_id: options["request-id"], spec }));
  console.log("job", job.job_id);
  process.once("SIGINT", () => engine.jobs.CancelJob({ job_id: job.job_id }, engine.metadata, () => {}));
  await mkdir(folder, { recursive: true });
  for (const artefact of await watch(engine, job.job_id)) await download(engine, artefact, folder);
}

let engine;
try {
  const { values: options, positionals: [clip, folder] } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (!folder) throw new Error("Say what, and whereto: node score.mjs CLIP FOLDER");
  engine = connect(options.engine, options);
  await score(engine, clip, folder, options);
} catch (error) {
  console.error(sentence(error));
  process.exitCode = 1;
} finally {
  engine?.close();
}
