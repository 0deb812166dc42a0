import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type LoginRequesterSchema, LoginState } from '../../gen/gatehouse/v1/login_pb.ts';
import { deviceName } from '../session/device-name.ts';
import { sessionToMessage } from '../session/message.ts';
import type { Opened, SessionOpener } from '../session/session-opener.ts';
import { userToMessage } from '../user/message.ts';
import type { User } from '../user/user.ts';
import type { Attempt } from './attempt-table.ts';
import type { ShownState } from './kinds.ts';

const states = {
  pending: LoginState.PENDING,
  claimed: LoginState.CLAIMED,
  approved: LoginState.APPROVED,
  denied: LoginState.DENIED,
  expired: LoginState.EXPIRED,
  redeemed: LoginState.USED,
} as const satisfies Record<ShownState, LoginState>;

export function stateToMessage(state: ShownState): LoginState {
  return states[state];
}

/** The device that asks to be signed in. */
export function requesterToMessage(attempt: Attempt): MessageInitShape<typeof LoginRequesterSchema> {
  const { clientName, userAgent, address, createdAt, expiresAt, comparison } = attempt;
  return {
    clientName,
    deviceName: deviceName(userAgent),
    userAgent,
    address,
    createTime: timestampFromDate(createdAt),
    expireTime: timestampFromDate(expiresAt),
    comparisonNumber: comparison,
  };
}

/** The fields of a response that signs a device in. */
export function signedInToMessage(opener: SessionOpener, user: User, opened: Opened, now: Date) {
  return {
    user: userToMessage(user, now),
    tokens: opener.tokensOf(opened, user, now),
    session: sessionToMessage(opened.session, opened.session.id),
  };
}
