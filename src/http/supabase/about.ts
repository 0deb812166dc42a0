import type { Answer, Asked } from './asked.ts';

/** GET /health. */
export async function health(): Promise<Answer> {
  return { body: { name: 'GoTrue', version: 'gatehouse', description: 'Gatehouse, compatible with Supabase Auth' } };
}

/** The providers that clients look for, whether or not the service has them. */
const otherProviders =
  'apple facebook snapchat figma fly keycloak kakao linkedin linkedin_oidc notion spotify slack slack_oidc workos twitch twitter phone zoom';

/** GET /settings. */
export async function settings({ auth }: Asked): Promise<Answer> {
  const current = await auth.getSettings({});
  const { google, github, azure, gitlab, bitbucket, discord } = current.external!;
  return {
    body: {
      external: {
        ...Object.fromEntries(otherProviders.split(' ').map((each) => [each, false])),
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
