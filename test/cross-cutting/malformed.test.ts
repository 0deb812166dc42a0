import { type DescField, type DescMethodUnary, fromJson, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { codeFromString } from '@connectrpc/connect/protocol-connect';
import { expect, onTestFinished, test } from 'vitest';
import { methods, nameOf, pathOf } from '../support/contract.ts';
import { providerEnv } from '../support/identity-provider.ts';
import { mailsTo } from '../support/inbox.ts';
import { asService } from '../support/people.ts';
import { frame, RawGrpc } from '../support/raw-grpc.ts';
import { send } from '../support/raw-http.ts';
import { prepareSamples, type Sample } from '../support/samples.ts';
import { start, type TestService, wires } from '../support/start.ts';
import { type Bad, badJson, badProtobuf, canary } from './malformed-values.ts';
import { refusedNulls } from './null-fields.ts';

interface Seen {
  readonly code: Code | undefined;
  readonly reason: string | undefined;
  readonly fields: readonly string[];
  /** The whole response. */
  readonly text: string;
}

/** Sends a sample with one field spoilt. */
type Send = (method: DescMethodUnary, sample: Sample, field: DescField | undefined, bad: Bad) => Promise<Seen>;

const ways: readonly [name: string, bad: typeof badJson, send: (service: TestService) => Send][] = [
  ['JSON', badJson, sendJson],
  ['protobuf to the gateway', badProtobuf, sendProtobuf],
  ['protobuf over gRPC', badProtobuf, sendGrpc],
];

test.each(ways)(
  'every bad value of every field of every method is refused as %s, and nothing is written',
  async (_, badValues, sender) => {
    const service = await start({ env: await providerEnv() });
    const sampleOf = await prepareSamples(service);
    const send = sender(service);
    const samples: (readonly [DescMethodUnary, Sample])[] = [];
    for (const each of methods) samples.push([each, await sampleOf(nameOf(each))]);
    // The mails of the samples change their rows until they have left.
    await mailsTo(service, 'ada@example.org');
    const before = await service.database.checksums();
    const deviations: object[] = [];
    let cases = 0;
    for (const [method, sample] of samples)
      for (const field of method.input.fields) {
        const value = sample.request[field.jsonName];
        const good = typeof value === 'string' ? value : '';
        // The values of an enum are names of the contract, not values of the request.
        const secret = field.fieldKind === 'enum' ? '' : good;
        const tryBad = async (bad: Bad) => {
          // Any object can be the response of an authenticator: it is a wrong proof, which is counted.
          if (bad.what.startsWith('{') && field.name === 'credential') return;
          if (bad.what === `["${canary}"]` && freeLists.includes(`${field.parent.typeName}.${field.name}`)) return;
          if (['', '""'].includes(bad.what) && emptyIsNone.includes(`${field.parent.typeName}.${field.name}`)) return;
          cases++;
          const seen = await send(method, sample, field, bad);
          const quotes = seen.text.includes(canary) || (secret.length > 5 && seen.text.includes(secret));
          if (quotes || !isRefused(seen, field, bad))
            deviations.push({ method: nameOf(method), field: field.name, bad: bad.what, ...seen });
        };
        // At once, so that the reads which authenticate them share round trips: half the time.
        await Promise.all(badValues(field, good).map(tryBad));
      }
    expect(deviations).toEqual([]);
    expect(cases).toBeGreaterThan(200);
    expect(await service.database.checksums(), 'nothing has changed').toEqual(before);
    expect(({} as { polluted?: string }).polluted).toBeUndefined();
    // The same requests without the bad value succeed.
    for (const [method, sample] of samples)
      expect(
        await send(method, sample, undefined, { what: 'nothing', bytes: Buffer.alloc(0) }),
        nameOf(method),
      ).toMatchObject({ code: undefined });
  },
  // Thousands of calls.
  120_000,
);

test.each(wires)(
  'over %s names may contain the joiners of scripts and emoji, passwords and metadata any invisible character',
  async (wire) => {
    const service = await start();
    const { auth, admin } = service.clients(wire);
    const hidden = 'a\u200bb\u00adc\u202ed\ufeff of a difference';
    const other = 'a\u200bb';
    const name = 'می\u200cخواهم 👩\u200d🔬 क्\u200dष';
    const { user } = await auth.register({ email: 'ada@example.org', password: hidden, name });
    expect(user!.name).toBe(name);
    await service.signIn({ email: 'ada@example.org', password: hidden });
    const { userMetadata } = await admin.updateUser({ userId: user!.id, userMetadata: { [other]: other } }, asService);
    expect(userMetadata).toEqual({ [other]: other });
  },
);

test('a field that is null counts as absent: refused where it is required, accepted where it is optional', async () => {
  const service = await start({ env: await providerEnv() });
  const sampleOf = await prepareSamples(service);
  const send = sendJson(service);
  const seen: Record<string, string> = {};
  for (const method of methods)
    for (const field of method.input.fields) {
      const sample = await sampleOf(nameOf(method));
      const { code, reason } = await send(method, sample, field, { what: 'null', bytes: Buffer.from('null') });
      if (code !== undefined) seen[`${nameOf(method)} ${field.name}`] = `${Code[code]} ${reason}`;
    }
  expect(seen).toEqual(refusedNulls);
});

/** The scopes of a provider, which names them as it likes: a list of one word is not bad. */
const freeLists = [
  'gatehouse.v1.StartOAuthRequest.scopes',
  'gatehouse.v1.StartIdentityLinkRequest.scopes',
  'gatehouse.v1.UpdateProjectRequest.remove_service_keys',
];

/** Optional ids whose empty value says that there is nothing yet. */
const emptyIsNone = ['gatehouse.v1.GenerateRecoveryCodesRequest.replaces_factor_id'];

/** Refused because of this field, or because the request cannot be parsed. */
function isRefused({ code, reason, fields }: Seen, field: DescField, bad: Bad): boolean {
  if (bad.isTooLarge) return code === Code.ResourceExhausted && reason === 'REQUEST_TOO_LARGE';
  if (code !== Code.InvalidArgument) return false;
  if (reason === 'INVALID_ARGUMENT') return fields.some((each) => each.replace(/\[.*/, '') === field.name);
  return reason === 'MALFORMED_REQUEST';
}

function sendJson(service: TestService): Send {
  return async (method, { request, headers }, field, { bytes }) => {
    const mark = '"@spoilt@"';
    const text = JSON.stringify(field ? { ...request, [field.jsonName]: '@spoilt@' } : request);
    const [head, tail] = text.split(mark);
    const body = tail === undefined ? text : Buffer.concat([Buffer.from(head!), bytes, Buffer.from(tail)]);
    return overHttp(service, method, { 'content-type': 'application/json', ...headers }, body);
  };
}

function sendProtobuf(service: TestService): Send {
  return (method, { request, headers }, _, { bytes }) => {
    const body = Buffer.concat([encode(method, request), bytes]);
    return overHttp(service, method, { 'content-type': 'application/proto', ...headers }, body);
  };
}

async function overHttp(
  service: TestService,
  method: DescMethodUnary,
  headers: Record<string, string>,
  body: string | Buffer,
) {
  const { httpPort } = service.replicas[0]!;
  const answer = await send(httpPort, { path: pathOf(method), headers, body });
  const code = answer.status === 200 ? undefined : codeFromString(answer.code ?? '');
  const { reason, fields } = answer;
  return { code, reason, fields, text: answer.status === 200 ? '' : JSON.stringify(answer.headers) + answer.text };
}

function sendGrpc(service: TestService): Send {
  const client = new RawGrpc(service.replicas[0]!.grpcPort);
  onTestFinished(() => client.close());
  return async (method, { request, headers }, _, { bytes }) => {
    const answer = await client.call(pathOf(method), frame(Buffer.concat([encode(method, request), bytes])), headers);
    const { code, reason, fields } = answer;
    return { code: code || undefined, reason, fields, text: code ? JSON.stringify(answer) : '' };
  };
}

const encode = ({ input }: DescMethodUnary, request: JsonObject) => toBinary(input, fromJson(input, request));
