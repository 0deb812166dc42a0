import { publishedName } from '../../text/sign-in-providers.ts';
import type { Answer, Asked } from './asked.ts';
import { otherProviders } from './provider-names.ts';

/** GET /health. */
export async function health(): Promise<Answer> {
  return { body: { name: 'GoTrue', version: 'gatehouse', description: 'Gatehouse, compatible with Supabase Auth' } };
}

/** GET /settings. */
export async function settings({ auth }: Asked): Promise<Answer> {
  const current = await auth.getSettings({});
  const { google, github, azure, gitlab, bitbucket, discord } = current.external!;
  return {
    body: {
      external: {
        ...Object.fromEntries(otherProviders.map((each) => [each, false])),
        ...Object.fromEntries(current.providers.map(({ name }) => [publishedName(name), true])),
        ...{ google, github, azure, gitlab, bitbucket, discord },
        anonymous_users: current.anonymousUsersEnabled,
        email: true,
      },
      disable_signup: current.disableSignup,
      mailer_autoconfirm: current.mailerAutoconfirm,
      phone_autoconfirm: false,
      sms_provider: current.smsProvider,
      mfa_enabled: current.mfaEnabled,
      saml_enabled: false,
      saml_private_key_next_configured: false,
      passkeys_enabled: true,
    },
  };
}
