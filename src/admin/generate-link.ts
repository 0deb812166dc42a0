import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import { ChangeSide, type GenerateLinkRequest } from '../../gen/gatehouse/v1/admin_pb.ts';
import { OtpType } from '../../gen/gatehouse/v1/auth_pb.ts';
import { audit } from '../audit/event.ts';
import { recipientOf } from '../auth/user-mail.ts';
import { Refusal } from '../errors.ts';
import type { MailedKind } from '../one-time/secret.ts';
import { autocommit, change, projectOf } from '../rpc/context.ts';
import { trimAddress } from '../text/email-address.ts';
import { emailKey } from '../user/email.ts';
import { changeMetadata, noMetadata } from '../user/metadata.ts';
import { findByEmail, lockUser, type User, type UserRow } from '../user/user.ts';
import type { AdminDeps, AdminMethods } from './deps.ts';
import { findOrCreate } from './invite-user.ts';
import { managedUserToMessage } from './message.ts';

export function generateLink(deps: AdminDeps): AdminMethods['generateLink'] {
  const { now, userMail, passwords } = deps;
  return async (request, context) => {
    const { email, password, userMetadata } = request;
    const projectId = projectOf(context);
    const metadata = changeMetadata(noMetadata, { userMetadata });
    const link = userMail.links.read(request.link, projectId)!;
    const known = await findByEmail(autocommit(context), projectId, email);
    const type = typeFor(request, known);
    await requireNewAddress(request, projectId, context);
    const hashes = type === OtpType.SIGNUP && !known && password !== '';
    const passwordHash = hashes ? await passwords.hashNew(password, [email], context) : null;
    const at = now();
    const draft = { projectId, email, passwordHash, ...metadata };
    const { user, issued } = await change(
      context,
      async (em) => {
        const user = await subjectOf(em, deps, { type, known, draft }, at);
        const { kind, to, ...ofChange } = valueFor(request, user, type);
        const flow = { ...ofChange, isOfNewUser: !known };
        const issued = await userMail.handOut(em, { kind, to, link, flow }, at);
        audit(em, context, { action: 'user.generate_link', userId: user.id }, at);
        return { user, issued };
      },
      { users: known ? [known.id] : [] },
    );
    const { raw, code, url } = issued;
    const token = userMail.links.tokenOf(raw, link);
    const found = { actionLink: url!, token, code: code!, redirectTo: link.redirectTo };
    return { user: managedUserToMessage(user, at), type, ...found };
  };
}

/** A magic link for an unknown address is that of a registration. */
function typeFor({ type }: GenerateLinkRequest, known: UserRow | undefined): OtpType {
  return type === OtpType.MAGIC_LINK && !known ? OtpType.SIGNUP : type;
}

async function requireNewAddress(
  { type, newEmail }: GenerateLinkRequest,
  projectId: string,
  context: HandlerContext,
): Promise<void> {
  if (type !== OtpType.EMAIL_CHANGE) return;
  if (!newEmail)
    throw new Refusal('INVALID_ARGUMENT', { fields: [{ field: 'new_email', description: 'is required' }] });
  if (await findByEmail(autocommit(context), projectId, newEmail)) throw new Refusal('EMAIL_ALREADY_REGISTERED');
}

interface Subject {
  readonly type: OtpType;
  readonly known: UserRow | undefined;
  readonly draft: Parameters<typeof findOrCreate>[3];
}

async function subjectOf(em: EntityManager, deps: AdminDeps, { type, known, draft }: Subject, at: Date): Promise<User> {
  if (type === OtpType.SIGNUP || type === OtpType.INVITE) return findOrCreate(em, deps, known, draft, at);
  if (!known) throw new Refusal('USER_NOT_FOUND');
  const user = await lockUser(em, draft.projectId, known.id);
  if (user.isBanned(at)) throw new Refusal('USER_BANNED');
  return user;
}

const kinds: Readonly<Partial<Record<OtpType, MailedKind>>> = {
  [OtpType.SIGNUP]: 'email_verification',
  [OtpType.INVITE]: 'invite',
  [OtpType.MAGIC_LINK]: 'magic_link',
  [OtpType.RECOVERY]: 'password_reset',
};

/** The value to issue, and the mailbox that it proves. A change of address needs both mailboxes of a verified user. */
function valueFor({ newEmail, changeSide }: GenerateLinkRequest, user: User, type: OtpType) {
  const to = recipientOf(user);
  if (type !== OtpType.EMAIL_CHANGE) return { kind: kinds[type]!, to, needsApproval: false };
  user.pendingEmail = trimAddress(newEmail);
  const ofChange = { needsApproval: user.emailVerifiedAt != null, newAddress: emailKey(newEmail) };
  if (changeSide === ChangeSide.CURRENT) return { kind: 'email_change_approval' as const, to, ...ofChange };
  return { kind: 'email_change' as const, to: { ...to, email: user.pendingEmail }, ...ofChange };
}
