import type { DescService } from '@bufbuild/protobuf';
import { createServiceImplSpec, type ServiceImpl, type ServiceImplSpec } from '@connectrpc/connect';

/** Pairs a service with its implementation. A missing method does not compile. */
export function serve<Service extends DescService>(service: Service, impl: ServiceImpl<Service>): ServiceImplSpec {
  return createServiceImplSpec<Service>(service, impl);
}
