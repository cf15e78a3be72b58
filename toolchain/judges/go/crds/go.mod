module lockstep.local/toolchain/judges/crds

go 1.26.7

require (
	github.com/aws/karpenter-provider-aws v1.14.1
	github.com/envoyproxy/gateway v1.9.1
	github.com/kedacore/keda/v2 v2.21.0
	sigs.k8s.io/gateway-api v1.6.1
)
