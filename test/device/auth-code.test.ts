import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { MasterKeys } from '../../src/crypto/master-keys.ts';
import { mintAuthCode, readAuthCode } from '../../src/device/auth-code.ts';
import { defaultProjectId as projectId } from '../../src/project/project.ts';

const masterKey = (id: string) => ({ id, key: Buffer.alloc(32, id) });
const keys = new MasterKeys([masterKey('b'), masterKey('a')]);
const attemptId = '019a0000-0000-7000-8000-00000000000a';
const expiresAt = new Date('2026-06-01T12:05:00Z');
const mint = (fingerprintId: string, by = keys, project = projectId) =>
  mintAuthCode(by, project, { attemptId, fingerprintId, expiresAt });
const read = (text: string, by = keys, project = projectId) => readAuthCode(by, project, text);

test('an auth code contains its fingerprint, its expiry and its attempt', () => {
  const code = mint('a_machine');
  expect(code).toMatch(/^a_machine\.1780315500000\.[\w-]+$/);
  expect(read(code)).toEqual({ attemptId, fingerprintId: 'a_machine', expiresAt });
});

test('has a MAC over version, key id, project, attempt, fingerprint and expiry, each behind its length', () => {
  const id = Buffer.from(attemptId.replaceAll('-', ''), 'hex');
  const mac = createHmac('sha256', keys.derive('auth code')!);
  for (const part of [Buffer.of(1), Buffer.from('b'), Buffer.from(projectId), id, 'a_machine', '1780315500000']) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    mac.update(length).update(part);
  }
  const seal = Buffer.concat([Buffer.of(1, 1), Buffer.from('b'), id, mac.digest()]).toString('base64url');
  expect(mint('a_machine')).toBe(`a_machine.1780315500000.${seal}`);
});

test('is invalid once any character is another one, is missing or is added', () => {
  const code = mint('a_machine');
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
  for (let at = 0; at < code.length; at++)
    for (const other of alphabet) {
      const altered = code.slice(0, at) + other + code.slice(at + 1);
      if (altered !== code) expect(read(altered), altered).toBeUndefined();
      expect(read(code.slice(0, at) + other + code.slice(at)), 'added').toBeUndefined();
    }
  for (let at = 0; at < code.length; at++) expect(read(code.slice(0, at) + code.slice(at + 1))).toBeUndefined();
});

test('has one way to be split into fingerprint and expiry', () => {
  const [, expiry, seal] = mint('a_machine9').split('.');
  expect(read(`a_machine.9${expiry}.${seal}`)).toBeUndefined();
  const [, , other] = mint('a_machine').split('.');
  expect(read(`a_machine1.${expiry!.slice(1)}.${other}`)).toBeUndefined();
  expect(read(`a_machine${expiry![0]}.${expiry!.slice(1)}.${other}`)).toBeUndefined();
});

test.each([
  '90000000000000',
  '-1780315500000',
  '1780315500000.5',
  '1e13',
  '01780315500000',
  '+1780315500000',
  'NaN',
  '',
  ' 1780315500000',
  '0x19e83b3ef20',
  '178031550000',
])('has a canonical expiry, not %s', (expiry) => {
  const [fingerprintId, , seal] = mint('a_machine').split('.');
  expect(read(`${fingerprintId}.${expiry}.${seal}`)).toBeUndefined();
});

test('is verified by each configured master key, of this project and no other', () => {
  const old = mint('a_machine', new MasterKeys([masterKey('a')]));
  expect(read(old)).toBeDefined();
  expect(read(old, new MasterKeys([masterKey('c')]))).toBeUndefined();
  expect(
    read(old, new MasterKeys([{ id: 'a', key: Buffer.alloc(32, 'x') }])),
    'another key of the same id',
  ).toBeUndefined();
  expect(read(mint('a_machine', keys, attemptId))).toBeUndefined();
});

test('is not verified by the master key itself, nor by the key of another purpose', () => {
  const bytes = Buffer.from(mint('a_machine').split('.')[2]!, 'base64url');
  const body = bytes.subarray(0, -32);
  for (const key of [Buffer.alloc(32, 'b'), keys.derive('login code')!]) {
    const mac = createHmac('sha256', key).update(body).digest();
    expect(
      read(`a_machine.${expiresAt.getTime()}.${Buffer.concat([body, mac]).toString('base64url')}`),
    ).toBeUndefined();
  }
});
