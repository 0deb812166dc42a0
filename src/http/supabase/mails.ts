import { type Answer, type Asked, siteLinkOf, withBearer } from './asked.ts';
import { invalid } from './auth-error.ts';
import { reasonOf } from './errors.ts';
import { phoneIsOff, requirePhone } from './phone.ts';

/** The responses do not reveal whether a mail was sent. */
const sent: Answer = { body: {} };

/** POST /otp. */
export async function sendOtp(asked: Asked): Promise<Answer> {
  const { body } = asked;
  const [email, phone, channel] = [body.text('email'), body.text('phone'), body.text('channel')];
  if (email && phone) throw invalid('Only an email address or phone number should be provided');
  if (email && channel) throw invalid('Channel should only be specified with Phone OTP');
  if (phone) {
    requirePhone(phone);
    throw phoneIsOff(400);
  }
  if (!email) throw invalid('One of email or phone must be set');
  return sendMagicLink(asked);
}

/** POST /magiclink. */
export async function sendMagicLink(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const createUser = body.flag('create_user') ?? true;
  const userMetadata = body.object('data') ?? {};
  await auth.requestMagicLink({ email: body.address('email'), link: siteLinkOf(asked), createUser, userMetadata });
  return sent;
}

/** POST /recover. */
export async function recover(asked: Asked): Promise<Answer> {
  await asked.auth.requestPasswordReset({ email: asked.body.text('email'), link: siteLinkOf(asked) });
  return sent;
}

/** POST /resend. */
export async function resend(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const [type, email] = [body.text('type'), body.text('email')];
  if (type === 'sms' || type === 'phone_change') {
    requirePhone(body.text('phone'));
    return sent;
  }
  if (type !== 'signup' && type !== 'email_change')
    throw invalid('Missing one of these types: signup, email_change, sms, phone_change');
  if (!email) throw invalid('Type provided requires an email address');
  const link = siteLinkOf(asked);
  if (type === 'email_change') await auth.resendEmailChange({ email, link });
  // Without verification by mail there is nothing pending.
  else
    await auth.sendVerificationEmail({ email, link }).catch((thrown) => {
      if (reasonOf(thrown) !== 'EMAIL_VERIFICATION_DISABLED') throw thrown;
    });
  return sent;
}

/** GET /reauthenticate. */
export async function reauthenticate({ auth, ...asked }: Asked): Promise<Answer> {
  await auth.reauthenticate({}, withBearer(asked));
  return sent;
}
