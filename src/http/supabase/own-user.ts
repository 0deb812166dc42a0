import { timestampDate } from '@bufbuild/protobuf/wkt';
import { AssuranceLevel } from '../../../gen/gatehouse/v1/policy_pb.ts';
import { type Session, SessionKind, SignOutScope } from '../../../gen/gatehouse/v1/session_pb.ts';
import { type Answer, type Asked, siteLinkOf, withBearer } from './asked.ts';
import { AuthError, invalid } from './auth-error.ts';
import { userWithFactors } from './factor-json.ts';
import { phoneIsOff } from './phone.ts';
import { wholeUser } from './session-json.ts';
import { textOf } from './user-json.ts';

/** GET /user. */
export async function getUser({ auth, ...asked }: Asked): Promise<Answer> {
  const { user, factors } = await auth.getMe(wholeUser, withBearer(asked));
  return { body: userWithFactors(user!, factors) };
}

/** PUT /user. */
export async function updateUser(asked: Asked): Promise<Answer> {
  const { auth, body } = asked;
  const bearer = withBearer(asked);
  if (body.object('app_metadata')) throw new AuthError(403, 'not_admin', 'Updating app_metadata is not allowed');
  if (body.text('phone')) throw phoneIsOff(400);
  const [email, userMetadata] = [body.address('email'), body.object('data')];
  await auth.updateCredentials(
    {
      ...(email && { email, link: siteLinkOf(asked) }),
      ...(userMetadata && { userMetadata }),
      newPassword: body.text('password'),
      reauthenticationCode: body.text('nonce'),
    },
    bearer,
  );
  return getUser(asked);
}

/** DELETE /user. */
export async function deleteUser({ auth, ...asked }: Asked): Promise<Answer> {
  await auth.deleteMe({}, withBearer(asked));
  return {};
}

const scopes: Readonly<Record<string, SignOutScope>> = {
  global: SignOutScope.GLOBAL,
  local: SignOutScope.LOCAL,
  others: SignOutScope.OTHERS,
};

/** POST /logout. */
export async function signOut({ sessions, query, ...asked }: Asked): Promise<Answer> {
  const bearer = withBearer(asked);
  const name = query.get('scope') || 'global';
  const scope = Object.hasOwn(scopes, name) ? scopes[name] : undefined;
  if (scope === undefined) throw invalid(`Unsupported logout scope "${name.replace(/[^\w-]/g, '').slice(0, 20)}"`);
  await sessions.signOut({ scope }, bearer);
  return {};
}

/** GET /sessions, which Supabase Auth does not have. */
export async function listSessions({ sessions, ...asked }: Asked): Promise<Answer> {
  const bearer = withBearer(asked);
  const all: Session[] = [];
  let pageToken = '';
  do {
    const page = await sessions.listSessions({ pageSize: 100, pageToken }, bearer);
    all.push(...page.sessions);
    pageToken = page.nextPageToken;
  } while (pageToken);
  return { body: all.map(sessionJson) };
}

const kinds: Readonly<Record<SessionKind, string>> = {
  [SessionKind.UNSPECIFIED]: '',
  [SessionKind.WEB]: 'web',
  [SessionKind.NATIVE]: 'native',
  [SessionKind.CLI]: 'cli',
  [SessionKind.DEVICE]: 'device',
  [SessionKind.SERVICE]: 'service',
};

function sessionJson(session: Session) {
  return {
    id: session.id,
    user_id: session.userId,
    kind: kinds[session.kind],
    aal: session.aal === AssuranceLevel.AAL2 ? 'aal2' : 'aal1',
    amr: session.amr.map(({ method, time }) => ({
      method,
      timestamp: Math.floor(timestampDate(time!).getTime() / 1000),
    })),
    user_agent: session.userAgent,
    ip: session.address,
    created_at: textOf(session.createTime!),
    refreshed_at: textOf(session.lastActiveTime!),
    not_after: textOf(session.expireTime!),
    current: session.current,
  };
}
