import type { HandlerContext } from '@connectrpc/connect';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { TakenCode } from '../account/invites/invite-code.ts';
import { type NewAccount, openingAccount } from '../account/open-account.ts';
import { type ShownAccount, shownColumns } from '../account/shown-account.ts';
import { summaryOfNew } from '../account/usage/account-summary.ts';
import { AuditEvent, auditRow } from '../audit/event.ts';
import type { Autocommit } from '../database/autocommit.ts';
import { insertRow, insertRows, rowOf } from '../database/insert.ts';
import { statement } from '../database/statement.ts';
import { Mail } from '../mail/mail.ts';
import { OneTimeToken } from '../one-time/token.ts';
import type { RuntimeSettings } from '../project/settings.ts';
import { origin } from '../rpc/context.ts';
import { Session } from '../session/session.ts';
import { countedMail, type MailCount } from '../throttle/mail-budget.ts';
import { explainTakenAddress } from '../user/email.ts';
import { type Registration, User } from '../user/user.ts';
import type { AuthDeps } from './deps.ts';
import type { Registered } from './repeated-registration.ts';
import type { SiteLink } from './site-link.ts';
import { recipientOf } from './user-mail.ts';

type MaybeCounted = { [Value in keyof MailCount]: MailCount[Value] | null };

interface RecordValues extends NewAccount, MaybeCounted {
  /** Rows as JSON. */
  readonly user: string;
  readonly event: string;
  /** Null when the user is not signed in. */
  readonly session: string | null;
  /** Null when no link is sent. */
  readonly tokens: string | null;
  readonly mail: string | null;
}

// Everything that the registration of a new user writes, in one statement. No rows when the display code is taken. The user
// is inserted with their account, since a statement does not update a row that it inserts.
const record = statement<ShownAccount, RecordValues>(
  'user_register',
  `with ${openingAccount}, registered as (
     ${insertRow(User, ':user', 'opened')} returning id
   ), noted as (
     ${insertRow(AuditEvent, ':event', 'registered')}
   ), signed_in as (
     ${insertRow(Session, ':session', 'registered')} where :session::jsonb is not null
   ), linked as (
     select id from registered where :tokens::jsonb is not null
   ), ${countedMail('linked')}, issued as (
     ${insertRows(OneTimeToken, ':tokens', 'counted')} where counted.wait = 0
   ), enqueued as (
     ${insertRow(Mail, ':mail', 'counted')} where counted.wait = 0 and :mail::jsonb is not null
   )
   select ${shownColumns} from joined m, opened a, subscribed s`,
);

export interface Registrant {
  readonly draft: Registration;
  readonly settings: RuntimeSettings;
  readonly link: SiteLink | undefined;
}

/**
 * Creates a user with an account of their own, and signs them in when the address needs no proof. `on` may be a transaction
 * or not: of parallel registrations of one address one succeeds, and the others throw EMAIL_ALREADY_REGISTERED.
 */
export async function registerUser(
  on: EntityManager | Autocommit,
  deps: AuthDeps,
  { draft, settings, link, code }: Registrant & { readonly code: TakenCode | undefined },
  context: HandlerContext,
  at: Date,
): Promise<Registered> {
  const { joining, opener, userMail } = deps;
  const isVerified = settings.autoConfirmEmail;
  const user = User.register({ ...draft, emailVerified: isVerified }, at);
  const opened = isVerified ? opener.draft(firstSignIn(user, context), at) : undefined;
  const mailed = isLinkSent(settings, isVerified) ? draftFirstLink(deps, { user, link }, at) : noLink;
  const values = {
    event: auditRow(context, { action: 'auth.register', userId: user.id }, at),
    session: opened ? rowOf(opened.session) : null,
    ...mailed,
  };
  const account = await joining
    .create(user, code, at, (account) =>
      record(on, { ...account, ...values, user: rowOf(Object.assign(user, { currentAccountId: account.accountId })) }),
    )
    .catch(explainTakenAddress);
  if (mailed.mail) userMail.announceFirst();
  return { user, summary: summaryOfNew(user, account), ...(opened && { opened }) };
}

/** The session that a registration opens. */
export function firstSignIn(user: User, context: HandlerContext) {
  return { user, kind: 'web', method: 'password', origin: origin(context) } as const;
}

/** Whether a registration has the link sent that verifies its address. */
export function isLinkSent({ emailVerification }: RuntimeSettings, isVerified: boolean): boolean {
  return !isVerified && emailVerification;
}

/**
 * The link that verifies the address, and how it is counted. The hourly budget applies, so that registering, deleting the
 * user and registering again sends no more mails than SendVerificationEmail does.
 */
export function firstLink(user: User, link: SiteLink | undefined) {
  const counted = { projectId: user.projectId, kind: 'registration', target: user.emailKey! };
  return { counted, mail: { kind: 'email_verification', to: recipientOf(user), link } } as const;
}

const noLink = { gapKey: null, hourKey: null, gap: null, perHour: null, tokens: null, mail: null };

function draftFirstLink(
  { userMail, mailBudget }: Pick<AuthDeps, 'userMail' | 'mailBudget'>,
  { user, link }: { user: User; link: SiteLink | undefined },
  at: Date,
) {
  const { counted, mail } = firstLink(user, link);
  return { ...mailBudget.countOfHour(counted), ...userMail.draftFirst(mail, at) };
}
