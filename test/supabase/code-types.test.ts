import type { EmailOtpType } from '@supabase/auth-js';
import { describe, expect, test } from 'vitest';
import { ada, asService } from '../support/people.ts';
import { codeFor, shown, startSupabase } from '../support/supabase.ts';

const { email } = ada;

describe.each(['on', 'off'])('with AUTO_CONFIRM_EMAIL %s', (AUTO_CONFIRM_EMAIL) => {
  test.each(['a known', 'an unknown'])(
    'the code that %s address is mailed has the type email, and another type uses up nothing',
    async (which) => {
      const { client, service } = await startSupabase({ env: { AUTO_CONFIRM_EMAIL } });
      const isKnown = which === 'a known';
      if (isKnown) await service.clients('json').admin.createUser({ ...ada, emailVerified: true }, asService);
      const isConfirmed = isKnown || AUTO_CONFIRM_EMAIL === 'on';
      expect((await client().signInWithOtp({ email })).error).toBeNull();
      const token = await codeFor(service, email);
      const wrong: EmailOtpType[] = ['recovery', 'invite', 'email_change', isConfirmed ? 'signup' : 'magiclink'];
      for (const type of wrong) {
        const { error } = await client().verifyOtp({ email, token, type });
        expect([type, ...shown(error)]).toEqual([type, 403, 'otp_expired', 'Token has expired or is invalid']);
      }
      const { data, error } = await client().verifyOtp({ email, token, type: 'email' });
      expect([error, data.user?.email]).toEqual([null, email]);
      expect((await client().verifyOtp({ email, token, type: 'email' })).error!.code).toBe('otp_expired');
    },
  );
});
