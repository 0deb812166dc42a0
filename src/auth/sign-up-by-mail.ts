import type { HandlerContext } from '@connectrpc/connect';
import { audit } from '../audit/event.ts';
import { Refusal } from '../errors.ts';
import { readSettings } from '../project/settings.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { emailKey } from '../user/email.ts';
import type { BothMetadata } from '../user/metadata.ts';
import { createUser, findByEmail } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import { padResponseTime } from './response-padding.ts';
import { type LinkRequest, sendUnpadded } from './send-link.ts';
import type { SiteLink } from './site-link.ts';
import { recipientOf } from './user-mail.ts';

interface SignUpByMail {
  readonly email: string;
  readonly link: SiteLink;
  readonly metadata: Partial<BothMetadata>;
  /** What a registered user is sent. */
  readonly request: LinkRequest;
}

/**
 * Sends a sign-in link, and registers an address that is unknown. The response is the same either way, and its time is
 * padded.
 */
export function signUpByMail(deps: AuthDeps, signUp: SignUpByMail, context: HandlerContext): Promise<void> {
  return padResponseTime(async () => {
    const projectId = projectOf(context);
    const known = await findByEmail(autocommit(context), projectId, signUp.email);
    if (known || !(await registers(deps, context))) return sendUnpadded(deps, signUp.request, context);
    await registerByMail(deps, signUp, context).catch(unlessTaken);
  });
}

async function registers({ joining, registration }: AuthDeps, context: HandlerContext): Promise<boolean> {
  const { signUp } = await readSettings(autocommit(context), projectOf(context), registration);
  return signUp && !joining.requiresInviteCode;
}

async function registerByMail(
  deps: AuthDeps,
  { email, link, metadata }: SignUpByMail,
  context: HandlerContext,
): Promise<void> {
  const { now, joining, userMail, mailBudget, registration } = deps;
  const at = now();
  const projectId = projectOf(context);
  const { autoConfirmEmail } = await readSettings(autocommit(context), projectId, registration);
  const counted = { projectId, kind: 'magic_link', target: emailKey(email) };
  if (!(await mailBudget.take(autocommit(context), counted, at))) return;
  await change(context, async (em) => {
    const draft = { projectId, email, name: '', passwordHash: null, emailVerified: autoConfirmEmail, ...metadata };
    const user = await createUser(em, draft, at);
    await joining.open(em, user, at);
    audit(em, context, { action: 'auth.register', userId: user.id }, at);
    const kind = autoConfirmEmail ? 'magic_link' : 'email_verification';
    await userMail.send(em, { kind, to: recipientOf(user), link }, at);
  });
}

/** Of parallel requests one registers the address, and sends the mail. */
function unlessTaken(thrown: unknown): void {
  if (!(thrown instanceof Refusal && thrown.reason === 'EMAIL_ALREADY_REGISTERED')) throw thrown;
}
