import { expect, test } from 'vitest';
import { faultOfAnchor } from '../../src/audit/anchor.ts';
import { sealHash } from '../../src/audit/chain.ts';
import { MasterKeys } from '../../src/crypto/master-keys.ts';

const keys = new MasterKeys([{ id: 'k1', key: Buffer.alloc(32, 1) }]);
const projectId = '01900000-0000-7000-8000-000000000001';

// An update that computed these differently would report every stored trail as altered.
test('a seal and an anchor of version 2 have the hashes that are stored', () => {
  const seal = { projectId, sequence: 7, day: '2026-11-30', total: 9 };
  const contents = { events: Buffer.alloc(32, 2), previousHash: Buffer.alloc(32, 3) };
  expect(sealHash(keys, { ...seal, ...contents }, 'k1')?.toString('hex')).toBe(
    '188a5ec2eff1a10ab55ee167276c0564467e05920c8afef28b88923904cd2fc8',
  );
  const mac = Buffer.from('450d1e0375744408f5651e3c68c043d784d2e84afdb72b5e90e82aef9e72e2b7', 'hex');
  const anchor = { ...seal, version: 2, hash: Buffer.alloc(32, 4), keyId: 'k1', mac };
  expect(faultOfAnchor(keys, anchor)).toBeUndefined();
  expect(faultOfAnchor(keys, { ...anchor, total: 8 })).toBe('the anchor of the dropped days was altered');
});
