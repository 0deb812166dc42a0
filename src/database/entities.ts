import { AuditEvent } from '../audit/event.ts';
import { AuditSeal, AuditUnsealed } from '../audit/seal.ts';
import { RateLimit } from '../limit/rate-limit.ts';
import { Installation } from '../project/installation.ts';
import { Project } from '../project/project.ts';
import { ProjectSettings } from '../project/settings.ts';
import { Session } from '../session/session.ts';
import { SigningKey } from '../session/signing-key.ts';
import { User } from '../user/user.ts';

/** Every table, in the order of their references. */
export const entities = [
  Installation,
  Project,
  ProjectSettings,
  User,
  Session,
  SigningKey,
  AuditEvent,
  AuditUnsealed,
  AuditSeal,
  RateLimit,
];
