import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import {
  AuthenticationMethodSchema,
  SessionKind as Kind,
  type SessionSchema,
} from '../../gen/gatehouse/v1/session_pb.ts';
import { deviceName } from './device-name.ts';
import type { AuthenticationMethod, SessionKind, ShownSession } from './session.ts';

const kinds = {
  web: Kind.WEB,
  native: Kind.NATIVE,
  cli: Kind.CLI,
  device: Kind.DEVICE,
  service: Kind.SERVICE,
} as const satisfies Record<SessionKind, Kind>;

export function kindToMessage(kind: SessionKind): Kind {
  return kinds[kind];
}

/** The kind that a client may choose for its session: web unless it asks for native. */
export function kindOfClient(kind: Kind): 'web' | 'native' {
  return kind === Kind.NATIVE ? 'native' : 'web';
}

export function levelToMessage(aal: number): AssuranceLevel {
  return aal === 2 ? AssuranceLevel.AAL2 : AssuranceLevel.AAL1;
}

export function methodsToMessage(amr: readonly AuthenticationMethod[]) {
  return amr.map(({ method, timestamp }) => ({
    $typeName: AuthenticationMethodSchema.typeName,
    method,
    time: timestampFromDate(new Date(timestamp * 1000)),
  }));
}

export function sessionToMessage(session: ShownSession, currentId?: string): MessageInitShape<typeof SessionSchema> {
  return {
    id: session.id,
    userId: session.userId,
    kind: kindToMessage(session.kind),
    aal: levelToMessage(session.aal),
    amr: methodsToMessage(session.amr),
    deviceName: deviceName(session.userAgent),
    userAgent: session.userAgent,
    address: session.address,
    createTime: timestampFromDate(session.createdAt),
    lastActiveTime: timestampFromDate(session.refreshedAt),
    idleExpireTime: timestampFromDate(session.idleExpiresAt),
    expireTime: timestampFromDate(session.expiresAt),
    current: session.id === currentId,
    impersonatorId: session.impersonatorId ?? '',
    fingerprintId: session.fingerprintId ?? '',
    clientName: session.clientName ?? '',
  };
}
