import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import type { Answer, Asked } from './asked.ts';
import { AuthError, invalid } from './auth-error.ts';
import { reasonOf } from './errors.ts';
import { sessionAnswer } from './session-json.ts';
import { userJson } from './user-json.ts';

export const phoneIsOff = (status = 400) =>
  new AuthError(status, 'phone_provider_disabled', 'Unsupported phone provider');

/** POST /signup with an address or a telephone number. */
export async function signUp(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [email, phone, password] = [body.text('email'), body.text('phone'), body.text('password')];
  const data = body.object('data') ?? {};
  if (!password) throw invalid('Signup requires a valid password');
  if (email && phone) throw invalid('Only an email address or phone number should be provided on signup.');
  if (phone) throw new AuthError(400, 'phone_provider_disabled', 'Phone signups are disabled');
  try {
    const { user, tokens } = await auth.register({ email, password, userMetadata: data });
    if (tokens) return await sessionAnswer(asked, tokens);
    // A service that hides which addresses are registered shows nobody a user.
    if (!user) return lookAlike(email, data, asked.now());
    return { body: { ...userJson({ ...user, userMetadata: data }), confirmation_sent_at: asked.now().toISOString() } };
  } catch (thrown) {
    if (reasonOf(thrown) === 'EMAIL_ALREADY_REGISTERED' && !(await confirmsAddresses(asked)))
      return repeatSignUp(asked, email, data);
    throw thrown;
  }
}

async function confirmsAddresses({ auth }: Asked): Promise<boolean> {
  return (await auth.getSettings({})).mailerAutoconfirm;
}

/** Sends the mail again if the address is not confirmed. The response does not reveal whether it is. */
async function repeatSignUp({ auth, now }: Asked, email: string, data: JsonObject): Promise<Answer> {
  await auth.sendVerificationEmail({ email }).catch((thrown) => {
    if (reasonOf(thrown) !== 'EMAIL_VERIFICATION_DISABLED') throw thrown;
  });
  return lookAlike(email, data, now());
}

/** A user as one who has just registered. */
function lookAlike(email: string, data: JsonObject, now: Date): Answer {
  const at = now.toISOString();
  return {
    body: {
      ...{ id: randomUUID(), aud: 'authenticated', role: '', email: email.trim(), phone: '' },
      ...{ confirmation_sent_at: at, app_metadata: { provider: 'email', providers: ['email'] }, user_metadata: data },
      ...{ identities: [], created_at: at, updated_at: at, is_anonymous: false },
    },
  };
}

/** POST /signup without an address and a telephone number. */
export async function signUpAnonymously(asked: Asked): Promise<Answer> {
  const { tokens } = await asked.auth.signUpAnonymous({ userMetadata: asked.body.object('data') ?? {} });
  return sessionAnswer(asked, tokens!);
}
