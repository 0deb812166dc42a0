import { expect, test } from 'vitest';
import { emailIdentityId } from '../../src/text/sign-in-providers.ts';

test('the address of a user keeps the id that clients have stored', () => {
  expect(emailIdentityId('019ac5d0-7d3e-7b41-9c55-2f6a8e4d1b90')).toBe('1b45344d-68c2-83da-9b4b-fec6de1e1eab');
});
