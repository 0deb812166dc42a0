import { ChangeSide } from '../../../gen/gatehouse/v1/admin_pb.ts';
import { OtpType } from '../../../gen/gatehouse/v1/auth_pb.ts';
import { type Answer, type Asked, siteLinkOf, withBearer } from './asked.ts';
import { invalid } from './auth-error.ts';
import { userJson } from './user-json.ts';

/** POST /invite. */
export async function invite(asked: Asked): Promise<Answer> {
  const { admin, body, now } = asked;
  const bearer = withBearer(asked);
  const userMetadata = body.object('data') ?? {};
  const { user } = await admin.inviteUser(
    { email: body.address('email'), userMetadata, link: siteLinkOf(asked) },
    bearer,
  );
  const at = now().toISOString();
  return { body: { ...userJson(user!), invited_at: at, confirmation_sent_at: at } };
}

const types: Readonly<Record<string, OtpType>> = {
  signup: OtpType.SIGNUP,
  invite: OtpType.INVITE,
  magiclink: OtpType.MAGIC_LINK,
  recovery: OtpType.RECOVERY,
  email_change_current: OtpType.EMAIL_CHANGE,
  email_change_new: OtpType.EMAIL_CHANGE,
};

/** POST /admin/generate_link. */
export async function generateLink(asked: Asked): Promise<Answer> {
  const { admin, body } = asked;
  const bearer = withBearer(asked);
  const name = body.text('type');
  const type = Object.hasOwn(types, name) ? types[name] : undefined;
  if (type === undefined) throw invalid('Invalid email action link type requested');
  const changeSide = name === 'email_change_current' ? ChangeSide.CURRENT : ChangeSide.NEW;
  const generated = await admin.generateLink(
    {
      ...{ type, email: body.address('email'), password: body.text('password'), newEmail: body.address('new_email') },
      ...{ changeSide, userMetadata: body.object('data') ?? {}, link: siteLinkOf(asked) },
    },
    bearer,
  );
  return {
    body: {
      ...userJson(generated.user!),
      action_link: generated.actionLink,
      email_otp: generated.code,
      hashed_token: generated.token,
      // An unknown address is registered.
      verification_type: generated.type === type ? name : 'signup',
      redirect_to: generated.redirectTo,
    },
  };
}
