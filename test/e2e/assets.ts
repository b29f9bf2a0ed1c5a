import { Assets } from '../assets.ts';

/** The containerd of today, beside Debian's: what test/e2e/assets.sh provides. */
export const containerdAssets = new Assets<'containerd' | 'ctr'>('e2e');
