import type { ServiceImpl } from '@connectrpc/connect';
import type { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { emailChangeMails } from './approved-email-change.ts';
import { credentials } from './credentials.ts';
import type { AuthDeps } from './deps.ts';
import { emailChange } from './email-change.ts';
import { emailVerification } from './email-verification.ts';
import { exchangeCode } from './exchange-code.ts';
import { getMe } from './get-me.ts';
import { guest } from './guest.ts';
import { magicLink } from './magic-link.ts';
import { finishOAuth } from './oauth/finish-oauth.ts';
import { idTokenSignIn } from './oauth/id-token-sign-in.ts';
import { identities } from './oauth/identities.ts';
import { startOAuth } from './oauth/start-oauth.ts';
import { passwordChange } from './password-change.ts';
import { passwordReset } from './password-reset.ts';
import { profile } from './profile.ts';
import { register } from './register.ts';
import { registrationRejection } from './registration-rejection.ts';
import { resetSignIn } from './reset-sign-in.ts';
import { settings } from './settings.ts';
import { signIn } from './sign-in.ts';
import { verifyOtp } from './verify-otp.ts';

/** The methods of AuthService, each in the file of its name. */
export function authService(deps: AuthDeps): ServiceImpl<typeof AuthService> {
  return {
    ...register(deps),
    ...guest(deps),
    ...signIn(deps),
    ...magicLink(deps),
    ...passwordChange(deps),
    ...passwordReset(deps),
    ...resetSignIn(deps),
    ...emailVerification(deps),
    ...registrationRejection(deps),
    ...emailChange(deps),
    ...emailChangeMails(deps),
    ...verifyOtp(deps),
    ...exchangeCode(deps),
    ...credentials(deps),
    ...getMe(deps),
    ...profile(deps),
    ...startOAuth(deps),
    ...finishOAuth(deps),
    ...idTokenSignIn(deps),
    ...identities(deps),
    ...settings(deps),
  };
}
