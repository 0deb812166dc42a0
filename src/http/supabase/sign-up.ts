import { randomUUID } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { trimAddress } from '../../text/email-address.ts';
import { type Answer, type Asked, siteLinkOf } from './asked.ts';
import { invalid } from './auth-error.ts';
import { reasonOf } from './errors.ts';
import { phoneIsOff } from './phone.ts';
import { sessionAnswer } from './session-json.ts';
import { userJson } from './user-json.ts';

/** POST /signup with an address or a telephone number. */
export async function signUp(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [email, phone, password] = [body.address('email'), body.text('phone'), body.text('password')];
  const data = body.object('data') ?? {};
  if (!password) throw invalid('Signup requires a valid password');
  if (email && phone) throw invalid('Only an email address or phone number should be provided on signup.');
  if (phone) throw phoneIsOff(400, 'Phone signups are disabled');
  const link = siteLinkOf(asked);
  try {
    const { user, tokens } = await auth.register({ email, password, userMetadata: data, link });
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
async function repeatSignUp(asked: Asked, email: string, data: JsonObject): Promise<Answer> {
  const { auth, now } = asked;
  await auth.sendVerificationEmail({ email, link: siteLinkOf(asked) }).catch((thrown) => {
    if (reasonOf(thrown) !== 'EMAIL_VERIFICATION_DISABLED') throw thrown;
  });
  return lookAlike(email, data, now());
}

/** A user as one who has just registered. */
function lookAlike(email: string, data: JsonObject, now: Date): Answer {
  const at = now.toISOString();
  return {
    body: {
      ...{ id: randomUUID(), aud: 'authenticated', role: '', email: trimAddress(email), phone: '' },
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
