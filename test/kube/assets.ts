import { Assets } from '../assets.ts';

/** What test/kube/assets.sh provides. */
export const kubeAssets = new Assets<
  'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kubectl' | 'kubelet-keyring' | 'helm'
>('kube', process.env['KUBEBUILDER_ASSETS']);
