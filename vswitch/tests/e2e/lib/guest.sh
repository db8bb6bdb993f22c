#!/bin/busybox sh
# The first process of a virtual machine: takes over the tree of the host, and does what it is told. Put into the
# initramfs by guest.py.
#
# The tree is the host's own `/`, read-only, by way of 9p; what is written goes to memory. A shared folder (`$shared`,
# an argument of the kernel) holds what outlives a boot. Requests come by a virtio port, each a line with a script in
# base64; the answer is `STATUS STDOUT STDERR`, the last two in base64.
#
# shellcheck shell=dash
: "${shared:?an argument of the kernel}"
/bin/busybox mkdir -p /proc /sys /dev /sbin /lower /written /root
/bin/busybox --install -s /bin
ln -s /bin/busybox /sbin/modprobe # for the kernel, which asks for modules by itself
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
modprobe -a virtio_pci virtio_console 9pnet_virtio 9p overlay

mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose tree /lower
mount -t tmpfs written /written
mkdir /written/upper /written/work
mount -t overlay -o lowerdir=/lower,upperdir=/written/upper,workdir=/written/work overlay /root
mkdir -p "/root$shared"
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=none shared "/root$shared"
for folder in proc sys dev; do mount --rbind "/$folder" "/root/$folder"; done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
mount -t tmpfs -o mode=755 tmpfs /root/run

# The tree has the modules of another kernel, or none.
mkdir -p /root/lib/modules
cp -r /lib/modules/. /root/lib/modules
own=/root/usr/local/sbin
mkdir -p $own
# The boot loader: what is configured here is what guest.py boots next.
cat >$own/update-grub <<'END'
#!/bin/sh
. /etc/default/grub
cp /etc/default/grub "$shared/grub"
echo "$GRUB_CMDLINE_LINUX $GRUB_CMDLINE_LINUX_DEFAULT" >"$shared/cmdline"
END
printf '#!/bin/sh\necho b >/proc/sysrq-trigger\n' >$own/reboot
chmod +x $own/update-grub $own/reboot
cp "/root$shared/grub" /root/etc/default/grub
# Few of DPDK's plugins, which are loaded at each start.
plugins=$(echo /root/usr/lib/x86_64-linux-gnu/dpdk/pmds-*)
mkdir /root/run/plugins
for plugin in bus_pci bus_vdev mempool_ring net_e1000 net_virtio; do
    cp -d "$plugins/librte_$plugin".so.* /root/run/plugins
done
mount --bind /root/run/plugins "$plugins"
# A host without the tools that bind devices.
rm -f /root/usr/bin/dpdk-devbind.py /root/usr/sbin/driverctl

# What udev does where there is one.
modprobe -a tun e1000e e1000 virtio_net
chmod 666 /dev/net/tun
ip link set lo up

until port=$(ls /dev/vport*) && [ -n "$port" ]; do sleep 0.1; done
exec 3<>"$port"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
echo ready >&3
while read -r request <&3; do
    echo "$request" | /bin/base64 -d >/root/run/request
    chroot /root /bin/sh /run/request </dev/null >/stdout 2>/stderr
    echo "$? $(/bin/base64 -w0 /stdout) $(/bin/base64 -w0 /stderr)" >&3
done
/bin/poweroff -f
