import { OtpType, type VerifyOtpResponse } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { readAddress } from '../../text/email-address.ts';
import { type Answer, type Asked, redirectOf } from './asked.ts';
import { AuthError, invalid } from './auth-error.ts';
import { authErrorOf } from './errors.ts';
import { requirePhone } from './phone.ts';
import { formOf, oauthErrors } from './redirect-form.ts';
import { sessionAnswer, tokensJson } from './session-json.ts';

const types: Readonly<Record<string, OtpType>> = {
  signup: OtpType.SIGNUP,
  invite: OtpType.INVITE,
  magiclink: OtpType.MAGIC_LINK,
  recovery: OtpType.RECOVERY,
  email: OtpType.EMAIL,
  email_change: OtpType.EMAIL_CHANGE,
};

const otherMailbox = 'Confirmation link accepted. Please proceed to confirm link sent to the other email';

/** POST /verify with the code of a mail. */
export async function verifyCode(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [name, code, email, phone] = [body.text('type'), body.text('token'), body.text('email'), body.text('phone')];
  if (!name) throw invalid('Verify requires a verification type');
  if (!code || body.text('token_hash')) throw invalid('Verify requires either a token or a token hash');
  if (phone) {
    requirePhone(phone);
    // Nobody was sent a code by text message.
    throw new AuthError(403, 'otp_expired', 'Token has expired or is invalid');
  }
  if (!email) throw invalid('Only an email address or phone number should be provided on verify');
  if (!readAddress(email)) throw new AuthError(422, 'validation_failed', 'Invalid email format');
  const type = typeOf(name);
  return answer(asked, await auth.verifyOtp({ type, code: { email, code }, newPassword: body.text('password') }));
}

/** POST /verify with the hash in the link of a mail. */
export async function verifyHash(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const name = body.text('type');
  if (!name) throw invalid('Verify requires a verification type');
  if (body.text('email') || body.text('phone') || body.text('redirect_to'))
    throw invalid('Only the token_hash and type should be provided');
  const token = body.text('token_hash');
  return answer(asked, await auth.verifyOtp({ type: typeOf(name), token, newPassword: body.text('password') }));
}

function typeOf(name: string): OtpType {
  const type = Object.hasOwn(types, name) ? types[name] : undefined;
  if (type === undefined) throw invalid('Unsupported verification type');
  return type;
}

async function answer(asked: Asked, { tokens, needsOtherConfirmation }: VerifyOtpResponse): Promise<Answer> {
  if (needsOtherConfirmation) return { body: { msg: otherMailbox, code: '200' } };
  return sessionAnswer(asked, tokens!);
}

/**
 * GET /verify: the link of a mail. It acts, as the links of Supabase Auth do, and leads the browser back to the site: with
 * tokens in the fragment, with a code to exchange, or with an error.
 */
export async function openLink(asked: Asked): Promise<Answer> {
  const { auth, query } = asked;
  const [name, token] = [query.get('type'), query.get('token')];
  if (!name) throw invalid('Verify requires a verification type');
  if (!token) throw invalid('Verify requires a token or a token hash');
  const type = typeOf(name);
  const place = new URL(redirectOf(asked));
  try {
    const { tokens, exchangeCode, needsOtherConfirmation } = await auth.verifyOtp({ type, token, openedLink: true });
    if (exchangeCode) place.searchParams.set('code', exchangeCode);
    else if (needsOtherConfirmation) place.hash = formOf({ message: otherMailbox, sb: '' });
    else place.hash = formOf({ ...tokensJson(tokens!), sb: '', type: name });
  } catch (thrown) {
    const { status, code, message } = authErrorOf(thrown, 'verify a link');
    const error = oauthErrors[status];
    const about = { ...(error && { error }), error_code: code, error_description: message };
    if (token.startsWith('pkce_')) for (const [key, value] of Object.entries(about)) place.searchParams.set(key, value);
    place.hash = formOf({ ...about, sb: '' });
  }
  return { status: 303, headers: { location: place.href } };
}
