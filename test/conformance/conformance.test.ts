import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

/*
 * The conformance suite of Connect calls our adapters. Needed: Go, and
 * `go install connectrpc.com/conformance/cmd/connectconformance@v1.0.7`, which takes a minute.
 */
const module = 'connectrpc.com/conformance@v1.0.7';
const env = { ...process.env, PATH: [process.env.PATH, path.join(homedir(), 'go/bin')].join(path.delimiter) };
const hasSuite = ['go', 'connectconformance'].every(
  (tool) => spawnSync(tool, ['version'], { env }).error === undefined,
);
if (!hasSuite) console.warn('NOT TRIED: the conformance suite of Connect, because go or connectconformance is missing');

/** Kinds of calls that the suite has and our contract has not: client streams and bidirectional streams. */
const streamTypes = ['STREAM_TYPE_UNARY', 'STREAM_TYPE_SERVER_STREAM'];

const features = {
  // Requests have a fixed limit of 64 KiB, so the suite cannot set one.
  grpc: { versions: ['HTTP_VERSION_2'], protocols: ['PROTOCOL_GRPC'], codecs: ['CODEC_PROTO'] },
  connect: { versions: ['HTTP_VERSION_1'], protocols: ['PROTOCOL_CONNECT'], codecs: ['CODEC_PROTO', 'CODEC_JSON'] },
};

/** Complaints that are about a decision of ours, and the case they may be about. */
const decided: readonly (readonly [aboutCase: RegExp, complaint: RegExp, decision: string])[] = [
  [
    /Unexpected Requests|Timeouts/,
    /^actual error contain 1 details; expecting 0$|message type "google.rpc.ErrorInfo" could not be resolved/,
    'every error has an ErrorInfo, also those of requests that reach no method',
  ],
  [
    /PROTOCOL_CONNECT|^Connect /,
    /code: 12 \(unimplemented\).* does not match expected code 2 \(unknown\)/,
    '405 and 415 have a body like any other error, with UNIMPLEMENTED instead of no code',
  ],
  [
    /unexpected-compressed-message$/,
    /code: 3 \(invalid_argument\).* does not match expected code 13 \(internal\)/,
    'a fault of the client is never INTERNAL',
  ],
];

test.runIf(hasSuite).each(['grpc', 'connect'] as const)(
  'the adapter for %s passes the conformance suite',
  async (protocol) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'gatehouse-conformance-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const config = path.join(folder, 'config.yaml');
    const compressions = ['COMPRESSION_IDENTITY', 'COMPRESSION_GZIP'];
    const all = { ...features[protocol], compressions, streamTypes, supportsMessageReceiveLimit: false };
    // YAML is a superset of JSON.
    writeFileSync(config, JSON.stringify({ features: all }));
    const download = execFileSync('go', ['mod', 'download', '-json', module], { env, cwd: folder, encoding: 'utf8' });
    const { Dir: protos } = JSON.parse(download) as { Dir: string };
    const server = [process.execPath, path.join(import.meta.dirname, 'server.ts'), protos];
    const output = await run('connectconformance', ['--mode', 'server', '--conf', config, '--', ...server]);

    const [, cases] = /^Total cases: (\d+)$/m.exec(output) ?? [];
    expect(Number(cases), output.slice(-2000)).toBeGreaterThan(300);
    expect(failuresIn(output).filter((each) => !isDecided(each))).toEqual([]);
  },
);

interface Failure {
  readonly name: string;
  readonly complaint: string;
}

function isDecided({ name, complaint }: Failure): boolean {
  return decided.some(([aboutCase, pattern]) => aboutCase.test(name) && pattern.test(complaint));
}

/** Each complaint of the suite is on a line of its own, below the name of its case. */
function failuresIn(output: string): Failure[] {
  let name = '';
  return output.split('\n').flatMap((line) => {
    const [, failed] = /^FAILED: (.*):$/.exec(line) ?? [];
    if (failed) name = failed;
    return line.startsWith('\t') ? [{ name, complaint: line.replace(/^\t(; )?/, '') }] : [];
  });
}

async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (output += bytes));
  await once(child, 'close');
  return output;
}
