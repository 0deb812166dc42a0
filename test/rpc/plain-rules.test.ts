import { create, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import { createValidator } from '@bufbuild/protovalidate';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { keepsPlainRules } from '../../src/rpc/plain-rules.ts';

const services = [AccountService, AdminService, AuthService, DeviceService, SessionService];
const requests = services.flatMap(({ methods }) => methods.map(({ input }) => input));
const validator = createValidator();

const character = fc.constantFrom('', 'a', 'é', '語', '😀', '_', '0');

/** Texts around the bounds of the contract, in characters of one to four bytes. */
const text = fc.oneof(
  fc.tuple(character, fc.nat({ max: 260 })).map(([each, n]) => each.repeat(n)),
  fc.tuple(character, fc.constantFrom(1024, 2048, 2730, 2731, 4097, 8192)).map(([each, n]) => each.repeat(n)),
  fc.uuid(),
  fc.uuid().map((each) => `${each}\n`),
  fc.string({ unit: fc.constantFrom('a', '9', '-', '_', '\n'), minLength: 20, maxLength: 66 }),
);

const duration = fc.record({
  seconds: fc.oneof(fc.bigInt(-1n, 6n), fc.constantFrom(86_400n, 86_401n, 3_155_760_000n, 3_155_760_001n)),
  nanos: fc.oneof(fc.constantFrom(-1, 0, 1, 999_999_999, 1_000_000_000), fc.nat({ max: 999_999_999 })),
});

/** A value for every property of a message, as often as not the one it has without being set. */
function messageOf(schema: DescMessage): fc.Arbitrary<Message> {
  const fields = schema.fields.filter(
    ({ oneof, fieldKind, scalar, message }) =>
      !oneof && (scalar === ScalarType.STRING ? fieldKind === 'scalar' : message?.name === 'Duration'),
  );
  const values = Object.fromEntries(fields.map((field) => [field.localName, field.message ? duration : text]));
  return fc.record(values, { requiredKeys: [] }).map((init) => create(schema, init));
}

test.each(requests)('protovalidate accepts every $name that keeps plain rules', (schema) => {
  fc.assert(
    fc.property(messageOf(schema), (message) => {
      if (keepsPlainRules(schema, message)) expect(validator.validate(schema, message).kind).toBe('valid');
    }),
    { numRuns: 500 },
  );
});

test('the requests of hot methods keep plain rules', () => {
  const { introspect, refresh, getSession } = SessionService.method;
  const id = crypto.randomUUID();
  const hot: readonly Message[] = [
    create(introspect.input, { token: 'e'.repeat(900) }),
    create(introspect.input, { token: 'e'.repeat(900), maxStaleness: { seconds: 1n } }),
    create(refresh.input, { refreshToken: 'ghr_'.repeat(40) }),
    create(refresh.input, { refreshToken: 'ghr_'.repeat(40), attemptId: 'a'.repeat(22) }),
    create(getSession.input, { sessionId: id }),
    create(AuthService.method.getMe.input),
  ];
  for (const each of hot) {
    const { input } = [introspect, refresh, getSession, AuthService.method.getMe].find(
      (method) => method.input.typeName === each.$typeName,
    )!;
    expect(keepsPlainRules(input, each), each.$typeName).toBe(true);
  }
});

test('a broken rule, a bound and a rule of another kind are left to protovalidate', () => {
  const { introspect, getSession, signOut } = SessionService.method;
  const token = 'e'.repeat(900);
  expect(keepsPlainRules(introspect.input, create(introspect.input))).toBe(false);
  expect(keepsPlainRules(introspect.input, create(introspect.input, { token: '語'.repeat(2731) }))).toBe(false);
  expect(keepsPlainRules(introspect.input, create(introspect.input, { token, maxStaleness: { seconds: 5n } }))).toBe(
    false,
  );
  expect(keepsPlainRules(getSession.input, create(getSession.input, { sessionId: 'ada' }))).toBe(false);
  expect(keepsPlainRules(signOut.input, create(signOut.input))).toBe(false);
});
