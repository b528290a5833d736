package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/queue"
)

// blobExt ends the names of files in which Pebble keeps contents apart from the
// tables.
const blobExt = ".blob"

// blobFooter is the length of the footer of such a file in octets: 4 of CRC-32C,
// masked as in LevelDB, over what follows; 26 of where its index is; the magic.
const blobFooter = 38

// Open implements vfs.FS. Pebble v2.1.7 panics when it opens a file of contents
// that is missing, cut short or has a bad footer (file_cache.go findOrCreateBlob
// reports the damage of no file in particular), also in its own goroutines.
// Such a file is therefore refused here, by an error that it passes on.
func (f *fence) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	file, err := f.FS.Open(name, opts...)
	if path.Ext(name) != blobExt {
		return file, err
	}
	if isNotExist(err) {
		return nil, fmt.Errorf("%w: %s is missing", queue.ErrDamaged, name)
	}
	if err != nil {
		return nil, err
	}
	if err := checkBlob(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", name, err), file.Close())
	}
	return file, nil
}

// checkBlob reads the footer of a file of contents.
func checkBlob(file vfs.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < blobFooter {
		return fmt.Errorf("%w: %d octets are too few", queue.ErrDamaged, info.Size())
	}
	var footer [blobFooter]byte
	if _, err := file.ReadAt(footer[:], info.Size()-blobFooter); err != nil {
		return err
	}
	sum := crc32.Checksum(footer[4:], castagnoli)
	if masked := sum>>15 | sum<<17 + 0xa282ead8; binary.LittleEndian.Uint32(footer[:]) != masked {
		return fmt.Errorf("%w: its footer is not what was written", queue.ErrDamaged)
	}
	return nil
}
