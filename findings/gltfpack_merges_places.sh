#!/usr/bin/env bash
# gltfpack 1.3.0: a mesh far from the origin, whose place stands in its node, loses its shape.
#
# A surveyed thing keeps small numbers in its vertices and its place (UTM metres) in the node's
# translation: that is how glTF, which has 32-bit vertices, holds it without loss. `gltfpack -noq`
# ("disable quantization"), the setting for people who want every digit kept, multiplies the node
# into the vertices in 32 bits and drops it. Northings of 4600000 m are then half a metre apart.
#
# Seen: a strip of 21 rows, 0.1 m apart; rows that stay apart in the output, by flags:
#   (as written)  21
#   -noq           5      steps of 0.5 m; exit status 0, no word
#   -noq -kn      21      "keep named nodes", of which this file has none, keeps the node
# Expected: 21 in all three, or a warning. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund gltfpack@1.3.0 > npm.log 2>&1 || { cat npm.log; exit 2; }

cat > strip.mjs <<'JS'
import { readFileSync, writeFileSync } from "node:fs";

const ROWS = 21, STEP = 0.1, PLACE = [500000, 120, 4600000];

function chunk(type, content) {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(content.length, 0);
  head.write(type, 4, "latin1");
  return Buffer.concat([head, content]);
}

function write(path) {
  const vertices = [], corners = [];
  for (let row = 0; row < ROWS; row++) {
    const up = 0.05 * (row % 2);
    vertices.push(0, up, STEP * row, 1, up, STEP * row);
    if (row) {
      const a = 2 * row - 2;
      corners.push(a, a + 2, a + 1, a + 1, a + 2, a + 3);
    }
  }
  const position = Buffer.from(new Float32Array(vertices).buffer);
  const index = Buffer.from(new Uint16Array(corners).buffer);
  const top = Math.fround(STEP * (ROWS - 1)), up = Math.fround(0.05);
  const document = {
    asset: { version: "2.0" },
    scene: 0,
    scenes: [{ nodes: [0] }],
    nodes: [{ mesh: 0, translation: PLACE }],
    meshes: [{ primitives: [{ attributes: { POSITION: 0 }, indices: 1 }] }],
    buffers: [{ byteLength: position.length + index.length }],
    bufferViews: [
      { buffer: 0, byteOffset: 0, byteLength: position.length, target: 34962 },
      { buffer: 0, byteOffset: position.length, byteLength: index.length, target: 34963 },
    ],
    accessors: [
      { bufferView: 0, componentType: 5126, type: "VEC3", count: 2 * ROWS, min: [0, 0, 0], max: [1, up, top] },
      { bufferView: 1, componentType: 5123, type: "SCALAR", count: corners.length },
    ],
  };
  let text = Buffer.from(JSON.stringify(document));
  text = Buffer.concat([text, Buffer.alloc(-text.length & 3, " ")]);
  const body = Buffer.concat([chunk("JSON", text), chunk("BIN\0", Buffer.concat([position, index]))]);
  const head = Buffer.alloc(12);
  head.write("glTF");
  head.writeUInt32LE(2, 4);
  head.writeUInt32LE(12 + body.length, 8);
  writeFileSync(path, Buffer.concat([head, body]));
}

function rows(path) {
  const file = readFileSync(path), length = file.readUInt32LE(12);
  const document = JSON.parse(file.subarray(20, 20 + length));
  const accessor = document.accessors[document.meshes[0].primitives[0].attributes.POSITION];
  const view = document.bufferViews[accessor.bufferView];
  const start = 28 + length + (view.byteOffset ?? 0) + (accessor.byteOffset ?? 0);
  const seen = new Set();
  for (let i = 0; i < accessor.count; i++) seen.add(file.readFloatLE(start + i * (view.byteStride ?? 12) + 8));
  return seen.size;
}

if (process.argv[2] === "write") write(process.argv[3]);
else console.log(rows(process.argv[3]));
JS

node strip.mjs write strip.glb
seen=$(node strip.mjs rows strip.glb)
for flags in "-noq" "-noq -kn"; do
  # shellcheck disable=SC2086
  npx gltfpack -i strip.glb -o packed.glb $flags > packed.log
  seen="$seen $(node strip.mjs rows packed.glb)"
done
echo "gltfpack 1.3.0: rows as written, with -noq, with -noq -kn: $seen"
[ "$seen" = "21 5 21" ] || { echo "this has changed"; exit 1; }
