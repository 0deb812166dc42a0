import { spawnSync } from 'node:child_process';
import { Secret } from 'otpauth';
import { describe, expect, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { newTotpSecret, sealSecret, shownSecret, stepOfCode } from '../../src/mfa/totp.ts';
import { codeOf, enrollApp, useApp, verifyCode } from '../support/authenticator.ts';
import { ada } from '../support/people.ts';
import { refusalOf } from '../support/refusal.ts';
import { bearer, start, wires } from '../support/start.ts';

const keys = new MasterKeys([{ id: 'test', key: Buffer.alloc(32, 7) }]);
const owner = { id: 'a factor', userId: 'a user' };
const at = (seconds: number) => new Date(seconds * 1000);

function judge(secret: Secret, code: string, seconds: number, lastStep: number | null = null): number | undefined {
  return stepOfCode(keys, { ...owner, secretSealed: sealSecret(keys, owner, secret), lastStep }, code, at(seconds));
}

// RFC 6238, appendix B, SHA-1. Its codes have eight digits, and six digits are the last six of them.
test.each([
  [59, '94287082'],
  [1111111109, '07081804'],
  [1111111111, '14050471'],
  [1234567890, '89005924'],
  [2000000000, '69279037'],
  [20000000000, '65353130'],
])('at the second %d the code of the RFC is right', (seconds, code) => {
  const secret = new Secret({ buffer: new TextEncoder().encode('12345678901234567890').buffer });
  expect(judge(secret, code.slice(2), seconds)).toBe(Math.floor(seconds / 30));
});

test('a code is right in its step, the one before and the one after, and no longer', () => {
  const secret = newTotpSecret();
  const now = 1_800_000_015;
  const present = Math.floor(now / 30);
  const seen = [-3, -2, -1, 0, 1, 2, 3].map((step) => judge(secret, codeOf(secret.base32, at(now + step * 30)), now));
  expect(seen).toEqual([undefined, undefined, present - 1, present, present + 1, undefined, undefined]);
});

test('a used step and all before it are refused, whatever the clock says', () => {
  const secret = newTotpSecret();
  const now = 1_800_000_015;
  const step = Math.floor(now / 30);
  const codes = [-1, 0, 1].map((each) => codeOf(secret.base32, at(now + each * 30)));
  expect(codes.map((code) => judge(secret, code, now, step))).toEqual([undefined, undefined, step + 1]);
  expect(
    codes.map((code) => judge(secret, code, now - 600, step)),
    'ten minutes back',
  ).toEqual([undefined, undefined, undefined]);
});

// The first step above 58 million whose code is that of the step before. One in a million is: the search takes seconds.
const secretOfEqualCodes = Secret.fromLatin1('12345678901234567890');
const stepOfEqualCodes = 59_061_241;
// Further ones, the first of the year 2029: the clock of a service is moved forward only.
const laterSteps = [62_075_369, 65_343_998, 66_112_180, 68_357_463];

test('equal codes of neighbouring steps are two codes', () => {
  const [secret, step] = [secretOfEqualCodes, stepOfEqualCodes];
  const code = codeOf(secret.base32, at(step * 30));
  expect(code).toBe(codeOf(secret.base32, at((step - 1) * 30)));
  expect(judge(secret, code, step * 30 - 1), 'not that of the next step').toBe(step - 1);
  expect(judge(secret, code, step * 30 + 1), 'not that of the step before').toBe(step);
  expect(judge(secret, code, step * 30 + 1, step - 1), 'the step before was used').toBe(step);
  expect(judge(secret, code, step * 30 + 1, step), 'both were used').toBeUndefined();
});

test.each([
  '',
  '12345',
  '1234567',
  '123 456',
  ' 123456',
  '123456\n',
  '+12345',
  '1e5',
  '0x1234',
  '１２３４５６',
  '٠١٢٣٤٥',
  '9'.repeat(64),
  'null',
])('%j is no code, whatever the secret', (code) => {
  const secret = newTotpSecret();
  for (let seconds = 1_800_000_000; seconds < 1_800_003_000; seconds += 30)
    expect(judge(secret, code, seconds)).toBeUndefined();
});

test('a code with leading zeros needs them', () => {
  const secret = newTotpSecret();
  let seconds = 1_800_000_000;
  while (!codeOf(secret.base32, at(seconds)).startsWith('0')) seconds += 30;
  const code = codeOf(secret.base32, at(seconds));
  expect(judge(secret, code, seconds)).toBe(seconds / 30);
  expect(judge(secret, code.slice(1), seconds)).toBeUndefined();
});

test.each([
  ['Example', 'ada@example.org'],
  ['A & B: "C"', 'ada+tag@example.org'],
  ['x&secret=AAAA', 'eve?secret=BBBB#'],
  ['two\r\nlines', 'tab\tand\u0000null'],
  ['Käse 🧀', 'ünïcode@example.org'],
  ['%2e%2e/', '../..'],
])('the URI of issuer %j and account %j has one secret, and both as text', (issuer, account) => {
  const secret = newTotpSecret();
  const { uri, secret: shown } = shownSecret(secret, { issuer, account });
  const parsed = new URL(uri);
  expect(parsed.protocol).toBe('otpauth:');
  expect(parsed.searchParams.getAll('secret')).toEqual([shown]);
  expect([...parsed.searchParams.keys()].sort()).toEqual(['algorithm', 'digits', 'issuer', 'period', 'secret']);
  const plain = (text: string) => text.replace(/[\p{Cc}:]+/gu, ' ').trim();
  expect(parsed.searchParams.get('issuer')).toBe(plain(issuer));
  expect(parsed.host).toBe('totp');
  expect(decodeURIComponent(parsed.pathname)).toBe(`/${plain(issuer)}:${plain(account)}`);
});

test('fifty secrets are 160 bits in base 32 without padding, and differ', () => {
  const secrets = Array.from({ length: 50 }, () => shownSecret(newTotpSecret(), { issuer: 'x', account: 'y' }).secret);
  expect(new Set(secrets).size).toBe(50);
  for (const each of secrets) expect(each).toMatch(/^[A-Z2-7]{32}$/);
});

/** The code that another implementation computes, or undefined where none is installed. */
function foreignCode(secret: string, seconds: number): string | undefined {
  const script = 'import pyotp,sys;print(pyotp.TOTP(sys.argv[1]).at(int(sys.argv[2])))';
  const tries: [string, string[]][] = [
    ['oathtool', ['--totp', '--base32', secret, '--now', `@${seconds}`]],
    ['python3', ['-c', script, secret, `${seconds}`]],
  ];
  for (const [command, args] of tries) {
    const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
    if (status === 0) return stdout.trim();
  }
  return undefined;
}

const hasForeign = foreignCode('JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', 0) !== undefined;
if (!hasForeign)
  console.warn('NOT TESTED against another TOTP implementation: neither oathtool nor pyotp is installed');

describe.each(wires)('over %s', (wire) => {
  test.runIf(hasForeign)('the codes of another implementation are accepted', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { factorId, secret } = await enrollApp(clients, as);
    const code = foreignCode(secret, Math.floor(service.now().getTime() / 1000))!;
    const { session } = await verifyCode(clients, as, factorId, code);
    expect(session!.aal).toBe(2);
  });

  test('a code that equals the used one of the step before is accepted once', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const seconds = service.now().getTime() / 1000;
    const step = laterSteps.find((each) => each * 30 > seconds + 60)!;
    service.pass((step - 1) * 30 + 5 - seconds);
    const { as, user } = await service.welcome({ ...ada, emailVerified: true });
    const { factorId } = await enrollApp(clients, as);
    const sealed = sealSecret(
      new MasterKeys(service.config.masterKeys),
      { id: factorId, userId: user.id },
      secretOfEqualCodes,
    );
    await service.database.query('update factors set secret_sealed = $1 where id = $2', [sealed, factorId]);
    const shown = () => codeOf(secretOfEqualCodes.base32, service.now());
    const code = shown();
    const { tokens } = await verifyCode(clients, as, factorId, code);
    service.pass(30);
    expect(shown()).toBe(code);
    const again = await verifyCode(clients, bearer(tokens!), factorId, code);
    const third = verifyCode(clients, bearer(again.tokens!), factorId, code);
    expect((await refusalOf(third)).reason).toBe('MFA_VERIFICATION_FAILED');
  });

  test('a malformed code is refused and counted, and changes nothing', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { factorId } = await enrollApp(clients, as);
    const before = await stateOf();
    for (const code of ['123 456', '１２３４５６', '+12345', '1e5', '12345', '1234567'])
      expect((await refusalOf(verifyCode(clients, as, factorId, code))).reason).toBe('MFA_VERIFICATION_FAILED');
    for (const code of ['', '9'.repeat(100)])
      expect((await refusalOf(verifyCode(clients, as, factorId, code))).reason).toBe('INVALID_ARGUMENT');
    expect(await stateOf()).toEqual(before);

    async function stateOf() {
      return service.database.query('select verified_at, last_step, last_used_at from factors');
    }
  });

  test('no dump holds the secret of a factor or a recovery code in any spelling', async () => {
    const service = await start();
    const clients = service.clients(wire);
    const { as } = await service.welcome({ ...ada, emailVerified: true });
    const { secret, tokens } = await useApp(clients, as, service.now());
    const { codes } = await clients.mfa.generateRecoveryCodes({}, bearer(tokens!));
    const bytes = Buffer.from(Secret.fromBase32(secret).buffer);
    const dump = `${await service.database.dump()}${service.ledger.lines.join('')}`;
    const spellings = [secret, bytes.toString('hex'), bytes.toString('base64'), bytes.toString('latin1')];
    for (const each of [...spellings, ...codes, ...codes.map((code) => code.replaceAll('-', ''))])
      expect(dump).not.toContain(each);
  });
});
