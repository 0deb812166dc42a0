/* What both entry points export besides createGatehouse: messages and enums of the contract, errors, call options. */
export { type CallOptions, type Client, Code, ConnectError, type Interceptor } from '@connectrpc/connect';
export * from '../../gen/gatehouse/v1/account_pb.ts';
export * from '../../gen/gatehouse/v1/admin_pb.ts';
export * from '../../gen/gatehouse/v1/auth_pb.ts';
export { AssuranceLevel, AssuranceLevelSchema } from '../../gen/gatehouse/v1/policy_pb.ts';
export * from '../../gen/gatehouse/v1/session_pb.ts';
export * from '../../gen/gatehouse/v1/user_pb.ts';
export { newAttemptId } from './attempts.ts';
export { withBearer } from './bearer.ts';
export type { Clients } from './clients.ts';
export { fieldErrors, metadataOf, reasonOf, retryAfter, type StepUp, stepUpOf } from './error-details.ts';
export { type Reason, reasons } from './reasons.ts';
export { newRequestId } from './request-ids.ts';
export type { CallDefaults } from './retry.ts';
