#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Score a clip from a shell: score.sh CLIP FOLDER. Needs `buf` (pip install buf-bin) and `jq`. The guide is docs/grpc.md.
# IMMERSIVAUDIO_URL says where the engine is (https:// for TLS, then IMMERSIVAUDIO_CA is the certificate to trust),
# IMMERSIVAUDIO_TOKEN what it asks for.
set -euo pipefail
clip=${1:?CLIP FOLDER} folder=${2:?CLIP FOLDER}
url=${IMMERSIVAUDIO_URL:-http://127.0.0.1:50505}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# call SERVICE/METHOD < requests: buf learns the messages from the engine itself (gRPC reflection).
call() {
  buf curl --protocol grpc --reflect-header '*' -H "authorization: Bearer ${IMMERSIVAUDIO_TOKEN:-}" \
    ${IMMERSIVAUDIO_CA:+--cacert "$IMMERSIVAUDIO_CA"} -d @- "$url/immersivaudio.v1.$1" 2>"$work/said" && return
  local code=$?
  jq -r .message "$work/said" >&2 2>/dev/null || cat "$work/said" >&2
  return $code
}
sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi | cut -d ' ' -f 1; }

echo '{"host_name": "buf curl", "protocols": ["v1"]}' | call EffectService/Handshake >"$work/engine" 2>/dev/null ||
  { echo "No engine answers at $url, or it wants another token. Start one with: immersivaudio serve" >&2; exit 1; }
jq -r '"engine \(.engineVersion); performs: \(.performers | join(", "))"' "$work/engine"
echo '{"effect_id": "soundtrack"}' | call EffectService/DescribeEffect |
  jq -r '.params[] | "  \(.name)=\(.defaultValue | to_entries[0].value)  \(.hint)"'

# Upload: chunks of 1 MiB, from the byte up to which the engine holds the file.
size=$(wc -c <"$clip" | tr -d ' ')
digest="{\"sha256\": \"$(sha256 <"$clip")\", \"size_bytes\": $size}"
held=$(echo "{\"digest\": $digest}" | call MediaService/QueryWriteStatus | jq -r '.committedBytes // 0')
echo "upload: from byte $held of $size"
if [ "$held" -lt "$size" ]; then
  tail -c "+$((held + 1))" "$clip" | split -a 4 -b 1048576 - "$work/chunk."
  for chunk in "$work"/chunk.*; do
    printf '{"digest": %s, "offset_bytes": %s, "data": "' "$digest" "$held"
    base64 <"$chunk" | tr -d '\n'
    echo '"}'
    held=$((held + $(wc -c <"$chunk")))
  done | call MediaService/WriteBlob >"$work/written"
fi

# Render: the same request_id twice is one job.
name=$(basename "${clip%.*}")
job=$(jq -n --argjson digest "$digest" --arg name "$name" --arg id "${REQUEST_ID:-$(date +%s).$$}" '{request_id: $id, spec: {
    source: {media: {blob: $digest}, name: $name},
    effect: {effect_id: "soundtrack"},
    delivery: {outputs: ["audio", "stems", "otio"]}}}' | call JobService/CreateJob | jq -r .job.jobId)
echo "job $job"

# Watch: a stream that breaks is opened again after the last event that came.
: >"$work/events"
for _ in 1 2 3 4 5; do
  after=$(jq -s 'map(.event.sequence | tonumber) | max // 0' "$work/events")
  echo "{\"job_id\": \"$job\", \"after_sequence\": $after}" | call JobService/WatchJob | tee -a "$work/events" |
    jq --unbuffered -r '.event | .state // .warning // (.progress.message | select(. != null and . != ""))' && break
  sleep 1
done
echo "{\"job_id\": \"$job\"}" | call JobService/GetJob >"$work/job"
jq -e '.job.state == "JOB_STATE_SUCCEEDED"' "$work/job" >/dev/null ||
  { jq -r '.job | .error | "\(.message // "The job was stopped.") \(.hint // "")"' "$work/job" >&2; exit 1; }

# Download: what does not have the announced sha256 is not kept.
mkdir -p "$folder"
jq -c '.job.result.artefacts[] | {name, digest}' "$work/job" | while read -r artefact; do
  name=$(basename "$(echo "$artefact" | jq -r .name)")
  echo "$artefact" | jq '{digest}' | call MediaService/ReadBlob | jq -r .data |
    while read -r data; do printf %s "$data" | base64 -d; done >"$work/got"
  [ "$(sha256 <"$work/got")" = "$(echo "$artefact" | jq -r .digest.sha256)" ] ||
    { echo "$name arrived damaged. Fetch it again." >&2; exit 1; }
  mv "$work/got" "$folder/$name"
  echo "got $folder/$name"
done
